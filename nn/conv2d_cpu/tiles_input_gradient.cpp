// The input gradient by tiles (core/tile.h): neighbouring pixels by channels, summed over what saw them, (u, v, o).
// With a stride, pixels that are as far apart have the same taps above them: they are one phase, and each phase is a
// convolution of stride 1 over dy with a kernel of its own. A kernel of 3 at stride 2 and padding 1 makes four:
//
//   dx   a b a b        a: the taps {1} x {1}
//        c d c d        b: {1} x {2, 0}
//        a b a b        c: {2, 0} x {1}
//        c d c d        d: {2, 0} x {2, 0}
//
// Vectors of few channels would be nearly empty. They hold neighbouring outputs j instead, and products are summed over
// output channels alone; then those of a tap and channel, a row of the result, are added to the row of pixels that the
// tap meets, of the same phase and v / stride further:
//
//   weights, as [(u, v, c), o]     a row of dy, as [o, j]
//
//          w w w w                    g g g g g g g           p p p p p p p     + ->  dx row i * stride + u, phase of v
//          w w w w              *     g g g g g g g     =     p p p p p p p
//          w w w w                    g g g g g g g           p p p p p p p
#include "nn/conv2d_cpu/tile_layout.h"

namespace mixgrad::kernels::conv2d_tiles {
namespace {

// Along one axis, the pixels first, first + stride, ... see outputs at the same distances: pixel first + q stride is
// under `taps` places of the kernel, tap, tap + stride, ..., of the outputs base + q, base + q - 1, ...
struct PhaseAxis {
  std::int64_t pixels, base, tap, taps;
};

PhaseAxis phase_axis(std::int64_t first, std::int64_t size, const Conv2dShape& s, std::int64_t kernel_size) {
  const std::int64_t tap = (first + s.padding) % s.stride;
  return {num_ranges(size - first, s.stride), (first + s.padding) / s.stride, tap,
          tap < kernel_size ? num_ranges(kernel_size - tap, s.stride) : 0};
}

// The pixels of a phase along both axes: their gradients are a convolution of stride 1 over dy, whose kernel is every
// stride-th place of the weight, backwards.
struct Phase {
  PhaseAxis rows, columns;
  std::int64_t depth_before;      // where its weights begin in a block
  std::int64_t from, to;          // the first number read in dy with its border, and the first written in dx
  Offsets outputs, taps, pixels;  // from there
};

std::vector<Phase> phases_of(const Conv2dShape& s, const Border& border, std::int64_t images) {
  std::vector<Phase> phases;
  std::int64_t depth_before = 0;
  for (std::int64_t i = 0; i < std::min(s.stride, s.height); ++i)
    for (std::int64_t j = 0; j < std::min(s.stride, s.width); ++j) {
      const PhaseAxis rows = phase_axis(i, s.height, s, s.kernel_height);
      const PhaseAxis columns = phase_axis(j, s.width, s, s.kernel_width);
      const std::int64_t out = s.out_channels, in = s.in_channels;
      const std::int64_t top = border.top + rows.base + 1 - rows.taps;
      const std::int64_t left = border.left + columns.base + 1 - columns.taps;
      phases.push_back({rows, columns, depth_before, (top * border.width + left) * out, (i * s.width + j) * in,
                        grid({images, border.size()}, {rows.pixels, border.row()}, {columns.pixels, out}),
                        grid({rows.taps, border.row()}, {columns.taps, out}, {out, 1}),
                        grid({images, s.height * s.width * in}, {rows.pixels, s.stride * s.width * in},
                             {columns.pixels, s.stride * in})});
      depth_before += rows.taps * columns.taps * out;
    }
  return phases;
}

// One block of input channels of the weights, [depth, width]: phase by phase the taps, the last first, each [out,
// width].
void pack_phases(const Conv2dShape& s, const std::vector<Phase>& phases, const Block& block, const float* weight,
                 float* packed) {
  for (const Phase& phase : phases) {
    float* to = packed + phase.depth_before * block.width;
    for (std::int64_t u = phase.rows.taps - 1; u >= 0; --u)
      for (std::int64_t v = phase.columns.taps - 1; v >= 0; --v, to += s.out_channels * block.width) {
        const std::int64_t tap = (phase.rows.tap + u * s.stride) * s.kernel_width + phase.columns.tap + v * s.stride;
        copy_panel(false, s.out_channels, block.columns, weight + tap * s.in_channels + block.first, s.patch(), to);
      }
  }
}

// dy with as many zeros around it as the outermost pixels look at.
Border padded_output(const Conv2dShape& s) {
  const std::int64_t above = num_ranges(s.kernel_height, s.stride) - 1, left = num_ranges(s.kernel_width, s.stride) - 1;
  return {above + std::max(s.out_height, (s.height - 1 + s.padding) / s.stride + 1),
          left + std::max(s.out_width, (s.width - 1 + s.padding) / s.stride + 1), s.out_channels, above, left};
}

void input_gradient_of_few_inputs(const Conv2dShape& s, const float* weight, const float* y, const float* dy,
                                  float* dx) {
  const std::int64_t in = s.in_channels, out = s.out_channels, patch = s.patch(), row = s.out_width * out;
  // dx with its border, each phase a plane: [in, stride, stride, height, width].
  const std::int64_t height =
      std::max(s.out_height + (s.kernel_height - 1) / s.stride, (s.height - 1 + s.padding) / s.stride + 1);
  const std::int64_t width =
      std::max(whole_vectors(s.out_width) + (s.kernel_width - 1) / s.stride, (s.width - 1 + s.padding) / s.stride + 1);
  const auto place = [=, stride = s.stride](std::int64_t c, std::int64_t i, std::int64_t j) {
    return (((c * stride + i % stride) * stride + j % stride) * height + i / stride) * width + j / stride;
  };
  Offsets taps, pixels;  // where a tap's products go for output (0, 0), and where a row's pixels come from
  for (std::int64_t v = 0; v < s.kernel_width; ++v)  // last, so that what was just written is not read again at once
    for (std::int64_t u = 0; u < s.kernel_height; ++u)
      for (std::int64_t c = 0; c < in; ++c) taps.push_back(place(c, u, v));
  for (std::int64_t j = 0; j < s.width; ++j)
    for (std::int64_t c = 0; c < in; ++c) pixels.push_back(place(c, 0, j + s.padding));
  const std::int64_t size = in * s.stride * s.stride * height * width;
  const ThreadMemory planes(size), panels(out * tile_columns), products(patch * tile_columns), masked_rows(y ? row : 0);
  parallel_for(s.batch, images_per_range(s, 1, 64), [&](std::int64_t begin, std::int64_t end) {
    float *const sums = planes.get(), *const panel = panels.get(), *const product = products.get();
    for (std::int64_t n = begin; n < end; ++n) {
      std::fill_n(sums, size, 0.0f);
      for (std::int64_t i = 0; i < s.out_height; ++i) {
        const float* from = dy + (n * s.out_height + i) * row;
        if (y) copy_row(from, y + (n * s.out_height + i) * row, row, masked_rows.get());
        if (y) from = masked_rows.get();
        for (std::int64_t j = 0; j < s.out_width; j += tile_columns) {
          const std::int64_t outputs = std::min(s.out_width - j, tile_columns), columns = whole_vectors(outputs);
          copy_panel(true, out, outputs, from + j * out, out, panel);
          for_each_part(patch, most_rows(columns), [&](std::int64_t first, std::int64_t rows) {
            multiply(EvenTileProduct{.a = weight + first,
                                     .a_row = 1,
                                     .a_step = patch,
                                     .b = panel,
                                     .b_row = columns,
                                     .c = product + first * columns,
                                     .c_row = columns,
                                     .rows = rows,
                                     .columns = columns,
                                     .depth = out});
          });
          const std::int64_t* tap = taps.data();
          for (std::int64_t v = 0; v < s.kernel_width; ++v)
            for (std::int64_t u = 0; u < s.kernel_height; ++u)
              for (std::int64_t c = 0; c < in; ++c) {
                float* const to = sums + *tap++ + i * width + j;
                const float* const added = product + ((u * s.kernel_width + v) * in + c) * columns;
                for (std::int64_t l = 0; l < columns; l += lanes) store(to + l, load(to + l) + load(added + l));
              }
        }
      }
      for (std::int64_t i = 0; i < s.height; ++i) {
        const float* const from = sums + place(0, i + s.padding, 0);
        float* const to = dx + (n * s.height + i) * s.width * in;
        std::transform(pixels.begin(), pixels.end(), to, [=](std::int64_t pixel) { return from[pixel]; });
      }
    }
  });
}

}  // namespace

void input_gradient(const Conv2dShape& s, const Tensor& weight, const Tensor& y, const Tensor& dy, Out dx) {
  if (by_few_inputs(s))
    return input_gradient_of_few_inputs(s, weight.data<float>(), s.relu ? y.data<float>() : nullptr, dy.data<float>(),
                                        dx.mutable_data<float>());
  const std::int64_t blocks = num_blocks(s.in_channels), at_once = images_at_once(s);
  const Border border = padded_output(s);
  const BorderedImages padded(border, at_once);
  const std::vector<Phase> phases = phases_of(s, border, at_once);
  const std::int64_t depth = s.kernel_height * s.kernel_width * s.out_channels;
  const Scratch<> packed(whole_vectors(s.in_channels) * depth);
  float* pp = packed.data();
  const float* pw = weight.data<float>();
  parallel_for(blocks, rows_per_range(depth * tile_columns, 1 << 15), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const Block block = block_of(s.in_channels, b);
      pack_phases(s, phases, block, pw, pp + block.first * depth);
    }
  });
  const std::int64_t in_image = s.height * s.width * s.in_channels, out_image = s.positions() * s.out_channels;
  const float* pdy = dy.data<float>();
  const float* py = s.relu ? y.data<float>() : nullptr;
  float* pdx = dx.mutable_data<float>();
  parallel_for(s.batch, images_per_range(s, at_once, 64), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; n += at_once) {
      const std::int64_t images = std::min(at_once, end - n);
      const float* mask = py ? py + n * out_image : nullptr;
      const float* from = padded.put(images, s.out_height, s.out_width, pdy + n * out_image, mask);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const Block block = block_of(s.in_channels, b);
        for (const Phase& phase : phases)
          for_each_part(images * phase.rows.pixels * phase.columns.pixels, most_rows(block.columns),
                        [&](std::int64_t first, std::int64_t rows) {
                          multiply({.a = from + phase.from,
                                    .a_rows = phase.outputs.data() + first,
                                    .a_steps = phase.taps.data(),
                                    .b = pp + block.first * depth + phase.depth_before * block.width,
                                    .b_row = block.width,
                                    .c = pdx + n * in_image + phase.to + block.first,
                                    .c_rows = phase.pixels.data() + first,
                                    .rows = rows,
                                    .columns = block.columns,
                                    .depth = static_cast<std::int64_t>(phase.taps.size())});
                        });
      }
    }
  });
}

}  // namespace mixgrad::kernels::conv2d_tiles
