#include "nn/conv2d_direct.h"

#include <algorithm>

#include "core/parallel.h"
#include "core/tile.h"

namespace mixgrad::kernels {
namespace {

// Channels are the columns of tiles: blocks of `tile_columns`, each [depth, width] with its rows side by side; the last
// block may be narrower. A block's first number is that of [first channel, depth].
struct Block {
  std::int64_t first, columns;  // channels
  std::int64_t width;           // the same in whole vectors
};
std::int64_t num_blocks(std::int64_t channels) { return num_ranges(channels, tile_columns); }
Block block_of(std::int64_t channels, std::int64_t block) {
  const std::int64_t first = block * tile_columns, columns = std::min(channels - first, tile_columns);
  return {first, columns, whole_vectors(columns)};
}

// Images per range: as many multiply-adds of whole vectors as are worth a thread.
std::int64_t images_per_range(const Conv2dShape& s, std::int64_t most_ranges) {
  constexpr std::int64_t work = std::int64_t{1} << 18;
  const std::int64_t per_image = s.positions() * s.patch() * whole_vectors(s.out_channels);
  return std::max(rows_per_range(per_image, work), num_ranges(s.batch, most_ranges));
}

// An image with a border of zeros: [height, width, channels] from (top, left) on.
struct Border {
  std::int64_t height, width, channels, top, left;

  std::int64_t row() const { return width * channels; }
  // With room behind it, where the vectors of the last tile reach.
  std::int64_t size() const { return (height * row() + tile_columns + 15) / 16 * 16; }
};

// Space for one such image per thread.
class BorderedImages {
 public:
  explicit BorderedImages(const Border& border)
      : border_(border), memory_(Tensor::empty({num_threads(), border.size()})), data_(memory_.mutable_data<float>()) {}

  // This thread's, all zeros. What is put into its middle later does not touch the border.
  void clear() const { std::fill_n(of_thread(), border_.size(), 0.0f); }
  // This thread's with an image [height, width, channels] in its middle; where `mask`, an image too, is given, its
  // numbers up to 0 put zeros in the place of the image's.
  const float* put(const float* image, const float* mask, std::int64_t height, std::int64_t width) const {
    const std::int64_t count = width * border_.channels;
    for (std::int64_t i = 0; i < height; ++i, image += count) {
      float* to = of_thread() + ((border_.top + i) * border_.width + border_.left) * border_.channels;
      if (!mask) {
        std::copy_n(image, count, to);
        continue;
      }
      for (std::int64_t k = 0; k < count; ++k) to[k] = mask[k] <= 0 ? 0.0f : image[k];
      mask += count;
    }
    return of_thread();
  }

  // The same as [channels, height, width].
  const float* put_planes(const float* image, std::int64_t height, std::int64_t width) const {
    const std::int64_t plane = border_.height * border_.width;
    for (std::int64_t i = 0; i < height; ++i)
      for (std::int64_t j = 0; j < width; ++j, image += border_.channels) {
        float* to = of_thread() + (border_.top + i) * border_.width + border_.left + j;
        for (std::int64_t c = 0; c < border_.channels; ++c) to[c * plane] = image[c];
      }
    return of_thread();
  }

 private:
  float* of_thread() const { return data_ + thread_index() * border_.size(); }

  Border border_;
  Tensor memory_;
  float* data_;
};

Border padded_input(const Conv2dShape& s) {
  return {s.height + 2 * s.padding, s.width + 2 * s.padding, s.in_channels, s.padding, s.padding};
}

// A row of the kernel, (v, c): as many numbers that lie side by side in the image.
std::int64_t tap_row(const Conv2dShape& s) { return s.kernel_width * s.in_channels; }

// Whether outputs are so few that vectors of them would be nearly empty: then vectors hold numbers of a tap row.
bool has_few_outputs(const Conv2dShape& s) { return s.out_channels <= lanes / 4 && tap_row(s) >= lanes; }

float sum(Vector v) {  // by halves
  float numbers[lanes];
  store(numbers, v);
  for (int half = lanes / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) numbers[i] += numbers[i + half];
  return numbers[0];
}

// One image's outputs, each as the product of its patch with the weights as they lie.
void forward_of_few_outputs(const Conv2dShape& s, const Border& border, const float* image, const float* weight,
                            const float* bias, float* out) {
  const std::int64_t row = tap_row(s);
  for (std::int64_t i = 0; i < s.out_height; ++i)
    for (std::int64_t j = 0; j < s.out_width; ++j) {
      const float* patch = image + (i * border.width + j) * s.stride * s.in_channels;
      for (std::int64_t o = 0; o < s.out_channels; ++o) {
        Vector products{};
        for (std::int64_t u = 0; u < s.kernel_height; ++u) {
          const float* w = weight + (o * s.kernel_height + u) * row;
          for (std::int64_t k = 0; k < row; k += lanes)
            products += load(patch + u * border.row() + k, row - k) * load(w + k, row - k);
        }
        const float value = (bias ? bias[o] : 0.0f) + sum(products);
        *out++ = s.relu && value <= 0 ? 0.0f : value;
      }
    }
}

}  // namespace

void conv2d_forward_direct(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const Tensor& y) {
  const std::int64_t patch = s.patch(), blocks = num_blocks(s.out_channels);
  const Border border = padded_input(s);
  const BorderedImages padded(border);
  const float* px = x.data<float>();
  const float* pw = weight.data<float>();
  const float* pb = bias.defined() ? bias.data<float>() : nullptr;
  float* py = y.mutable_data<float>();
  const bool few = has_few_outputs(s);
  const Tensor packed = Tensor::empty({few ? 0 : whole_vectors(s.out_channels), patch});
  float* pp = packed.mutable_data<float>();
  if (!few)
    parallel_for(blocks, rows_per_range(patch * tile_columns, 1 << 15), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const Block block = block_of(s.out_channels, b);
        copy_panel(true, patch, block.columns, pw + block.first * patch, patch, pp + block.first * patch);
      }
    });
  parallel_for(s.batch, images_per_range(s, 64), [&](std::int64_t begin, std::int64_t end) {
    if (s.padding > 0) padded.clear();
    for (std::int64_t n = begin; n < end; ++n) {
      const float* image = px + n * s.height * s.width * s.in_channels;
      if (s.padding > 0) image = padded.put(image, nullptr, s.height, s.width);
      float* out = py + n * s.positions() * s.out_channels;
      if (few) {
        forward_of_few_outputs(s, border, image, pw, pb, out);
        continue;
      }
      for (std::int64_t b = 0; b < blocks; ++b) {
        const Block block = block_of(s.out_channels, b);
        Tile tile{.a = image,
                  .a_segment = border.row(),
                  .a_row = s.stride * s.in_channels,
                  .b = pp + block.first * patch,
                  .b_segment = tap_row(s) * block.width,
                  .b_row = block.width,
                  .segments = s.kernel_height,
                  .depth = tap_row(s),
                  .start = pb ? pb + block.first : nullptr,
                  .c = out + block.first,
                  .c_row = s.out_channels,
                  .columns = block.columns,
                  .relu = s.relu};
        for (std::int64_t i = 0; i < s.out_height; ++i)
          for_each_part(s.out_width, most_rows(block.columns), [&](std::int64_t j, std::int64_t rows) {
            tile.a = image + i * s.stride * border.row() + j * tile.a_row;
            tile.c = out + (i * s.out_width + j) * s.out_channels + block.first;
            tile.rows = rows;
            multiply(tile);
          });
      }
    }
  });
}

namespace {

// Along one axis, the pixels first, first + stride, ... see outputs at the same distances: pixel first + q stride is
// under `taps` places of the kernel, tap, tap + stride, ..., of the outputs base + q, base + q - 1, ...
struct Phase {
  std::int64_t first, base, tap, taps;
};

Phase phase_of(std::int64_t first, std::int64_t stride, std::int64_t padding, std::int64_t kernel_size) {
  const std::int64_t tap = (first + padding) % stride;
  return {first, (first + padding) / stride, tap, tap < kernel_size ? num_ranges(kernel_size - tap, stride) : 0};
}

// Calls f(rows, columns, offset) for each pair of phases; its weights begin at row `offset` of a block.
template <class F>
void for_each_phase(const Conv2dShape& s, F&& f) {
  std::int64_t offset = 0;
  for (std::int64_t i = 0; i < std::min(s.stride, s.height); ++i)
    for (std::int64_t j = 0; j < std::min(s.stride, s.width); ++j) {
      const Phase rows = phase_of(i, s.stride, s.padding, s.kernel_height);
      const Phase columns = phase_of(j, s.stride, s.padding, s.kernel_width);
      f(rows, columns, offset);
      offset += rows.taps * columns.taps * s.out_channels;
    }
}

std::int64_t depth_of_phases(const Conv2dShape& s) { return s.kernel_height * s.kernel_width * s.out_channels; }

// One block of input channels of the weights, [depth, width]: phase by phase the taps, the last first, each [out,
// width].
void pack_phases(const Conv2dShape& s, const Block& block, const float* weight, float* packed) {
  for_each_phase(s, [&](const Phase& rows, const Phase& columns, std::int64_t offset) {
    float* to = packed + offset * block.width;
    for (std::int64_t u = rows.taps - 1; u >= 0; --u)
      for (std::int64_t v = columns.taps - 1; v >= 0; --v, to += s.out_channels * block.width) {
        const std::int64_t tap = (rows.tap + u * s.stride) * s.kernel_width + columns.tap + v * s.stride;
        copy_panel(false, s.out_channels, block.columns, weight + tap * s.in_channels + block.first, s.patch(), to);
      }
  });
}

// dy of one image with as many zeros around it as the outermost pixels look at.
Border padded_output(const Conv2dShape& s) {
  const std::int64_t above = num_ranges(s.kernel_height, s.stride) - 1, left = num_ranges(s.kernel_width, s.stride) - 1;
  return {above + std::max(s.out_height, (s.height - 1 + s.padding) / s.stride + 1),
          left + std::max(s.out_width, (s.width - 1 + s.padding) / s.stride + 1), s.out_channels, above, left};
}

// One block of one image's gradient. The pixels of a phase are a convolution of stride 1 over dy, whose kernel is every
// stride-th place of the weight, backwards.
void input_gradient(const Conv2dShape& s, const Border& border, const Block& block, const float* dy,
                    const float* packed, float* dx) {
  for_each_phase(s, [&](const Phase& rows, const Phase& columns, std::int64_t offset) {
    Tile tile{.a = dy,
              .a_segment = border.row(),
              .a_row = s.out_channels,
              .b = packed + offset * block.width,
              .b_segment = columns.taps * s.out_channels * block.width,
              .b_row = block.width,
              .segments = rows.taps,
              .depth = columns.taps * s.out_channels,
              .c = dx,
              .c_row = s.stride * s.in_channels,
              .columns = block.columns};
    const std::int64_t width = num_ranges(s.width - columns.first, s.stride);
    for (std::int64_t h = rows.first; h < s.height; h += s.stride) {
      const std::int64_t row = border.top + rows.base + h / s.stride - (rows.taps - 1);
      for_each_part(width, most_rows(block.columns), [&](std::int64_t q, std::int64_t count) {
        const std::int64_t column = border.left + columns.base + q - (columns.taps - 1);
        tile.a = dy + (row * border.width + column) * s.out_channels;
        tile.c = dx + (h * s.width + columns.first + q * s.stride) * s.in_channels + block.first;
        tile.rows = count;
        multiply(tile);
      });
    }
  });
}

}  // namespace

void conv2d_input_gradient_direct(const Conv2dShape& s, const Tensor& weight, const Tensor& y, const Tensor& dy,
                                  const Tensor& dx) {
  const Border border = padded_output(s);
  const BorderedImages padded(border);
  const std::int64_t depth = depth_of_phases(s), blocks = num_blocks(s.in_channels);
  const Tensor packed = Tensor::empty({whole_vectors(s.in_channels), depth});
  float* pp = packed.mutable_data<float>();
  const float* pw = weight.data<float>();
  parallel_for(blocks, rows_per_range(depth * tile_columns, 1 << 15), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const Block block = block_of(s.in_channels, b);
      pack_phases(s, block, pw, pp + block.first * depth);
    }
  });
  const std::int64_t in_image = s.height * s.width * s.in_channels, out_image = s.positions() * s.out_channels;
  const float* pdy = dy.data<float>();
  const float* py = s.relu ? y.data<float>() : nullptr;
  float* pdx = dx.mutable_data<float>();
  parallel_for(s.batch, images_per_range(s, 64), [&](std::int64_t begin, std::int64_t end) {
    padded.clear();
    for (std::int64_t n = begin; n < end; ++n) {
      const float* mask = py ? py + n * out_image : nullptr;
      const float* image = padded.put(pdy + n * out_image, mask, s.out_height, s.out_width);
      for (std::int64_t b = 0; b < blocks; ++b) {
        const Block block = block_of(s.in_channels, b);
        input_gradient(s, border, block, image, pp + block.first * depth, pdx + n * in_image);
      }
    }
  });
}

namespace {

// The outputs' gradients dy [positions, channels] of one block as [positions, width], where `mask` is given with zeros
// in the place of those whose output is not above 0; bias_sums [width] += their sums.
void pack_gradients(const Block& block, std::int64_t positions, std::int64_t channels, const float* dy,
                    const float* mask, float* to, float* bias_sums) {
  for (std::int64_t v = 0; v < block.width; v += lanes) {
    Vector sum = load(bias_sums + v);
    for (std::int64_t p = 0; p < positions; ++p) {
      const std::int64_t from = p * channels + block.first + v;
      Vector g = load(dy + from, block.columns - v);
      if (mask) g = load(mask + from, block.columns - v) <= Vector{} ? Vector{} : g;
      sum += g;
      store(to + p * block.width + v, g);
    }
    store(bias_sums + v, sum);
  }
}

// Of one image and one block of outputs: sums [patch, width] += patches^T gradients, [positions, width]. With `planes`
// the image is [in, height, width].
void add_weight_gradients(const Conv2dShape& s, const Border& border, bool planes, const float* image,
                          const float* gradients, std::int64_t width, float* sums) {
  Tile tile{.a = image,
            .a_segment = s.stride * (planes ? border.width : border.row()),
            .a_row = planes ? border.height * border.width : 1,
            .a_step = s.stride * (planes ? 1 : s.in_channels),
            .b = gradients,
            .b_segment = s.out_width * width,
            .b_row = width,
            .segments = s.out_height,
            .depth = s.out_width,
            .start = sums,
            .start_row = width,
            .c = sums,
            .c_row = width,
            .columns = width};
  // The rows of tiles: channels of one tap, or of a row of taps.
  const std::int64_t taps = s.kernel_height * (planes ? s.kernel_width : 1), rows = s.patch() / taps;
  for (std::int64_t tap = 0; tap < taps; ++tap) {
    const float* from =
        image + (planes ? tap / s.kernel_width * border.width + tap % s.kernel_width : tap * border.row());
    for_each_part(rows, most_rows(width), [&](std::int64_t k, std::int64_t count) {
      tile.a = from + k * tile.a_row;
      tile.start = tile.c = sums + (tap * rows + k) * width;
      tile.rows = count;
      multiply(tile);
    });
  }
}

// The same for few outputs, which are the tiles' rows: sums [out, patch] += gradients^T patches.
void add_weight_gradients_of_few(const Conv2dShape& s, const Border& border, const float* image, const float* gradients,
                                 std::int64_t width, float* sums) {
  Tile tile{.a = gradients,
            .a_segment = s.out_width * width,
            .a_row = 1,
            .a_step = width,
            .b = image,
            .b_segment = s.stride * border.row(),
            .b_row = s.stride * s.in_channels,
            .segments = s.out_height,
            .depth = s.out_width,
            .start = sums,
            .start_row = s.patch(),
            .c = sums,
            .c_row = s.patch(),
            .rows = s.out_channels};
  for (std::int64_t u = 0; u < s.kernel_height; ++u)
    for (std::int64_t k = 0; k < tap_row(s); k += tile_columns) {
      tile.b = image + u * border.row() + k;
      tile.start = tile.c = sums + u * tap_row(s) + k;
      tile.columns = std::min(tap_row(s) - k, tile_columns);
      multiply(tile);
    }
}

}  // namespace

void conv2d_weight_gradient_direct(const Conv2dShape& s, const Tensor& x, const Tensor& y, const Tensor& dy,
                                   const Tensor& dweight, const Tensor& dbias) {
  const std::int64_t patch = s.patch(), positions = s.positions(), blocks = num_blocks(s.out_channels);
  // A unit of work is a range of images and a block of output channels; few ranges where there are many blocks.
  const std::int64_t grain = images_per_range(s, std::max<std::int64_t>(16 / std::max<std::int64_t>(blocks, 1), 1));
  const std::int64_t ranges = std::max<std::int64_t>(num_ranges(s.batch, grain), 1);
  const Border border = padded_input(s);
  const BorderedImages padded(border);
  // A large image of many channels is kept plane by plane: then a tile's rows, which are channels, are each read from
  // neighbouring numbers.
  const bool few = has_few_outputs(s), planes = !few && s.in_channels >= 8 && border.size() > 8192;
  const bool copied = planes || few || s.padding > 0;
  // Of each range, in blocks: the sums, [patch, width] or [out, patch], and behind them the bias's, [width].
  const std::int64_t rows = patch + 1, partial_size = whole_vectors(s.out_channels) * rows;
  const Tensor partials = Tensor::empty({ranges, partial_size});
  // The outputs' gradients of one image and one block, [positions, width], for each thread.
  const std::int64_t gradients_size = positions * tile_columns;
  const Tensor gradients = Tensor::empty({num_threads(), gradients_size});
  const float* px = x.data<float>();
  const float* pdy = dy.data<float>();
  const float* py = s.relu ? y.data<float>() : nullptr;
  float* pg = gradients.mutable_data<float>();
  float* pp = partials.mutable_data<float>();
  parallel_ranges(ranges * blocks, 1, [&](std::int64_t unit, std::int64_t, std::int64_t) {
    const std::int64_t range = unit / blocks;
    const Block block = block_of(s.out_channels, unit % blocks);
    float* gradient = pg + thread_index() * gradients_size;
    float* sums = pp + range * partial_size + block.first * rows;
    std::fill_n(sums, rows * block.width, 0.0f);
    if (copied) padded.clear();
    for (std::int64_t n = range * grain; n < std::min((range + 1) * grain, s.batch); ++n) {
      const std::int64_t outputs = n * positions * s.out_channels;
      pack_gradients(block, positions, s.out_channels, pdy + outputs, py ? py + outputs : nullptr, gradient,
                     sums + patch * block.width);
      if (!dweight.defined()) continue;
      const float* image = px + n * s.height * s.width * s.in_channels;
      if (planes) image = padded.put_planes(image, s.height, s.width);
      else if (copied) image = padded.put(image, nullptr, s.height, s.width);
      if (few) add_weight_gradients_of_few(s, border, image, gradient, block.width, sums);
      else add_weight_gradients(s, border, planes, image, gradient, block.width, sums);
    }
  });
  float* pdw = dweight.defined() ? dweight.mutable_data<float>() : nullptr;
  float* pdb = dbias.defined() ? dbias.mutable_data<float>() : nullptr;
  const auto add_ranges = [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const Block block = block_of(s.out_channels, b);
      float* total = pp + block.first * rows;  // the first range's
      for (std::int64_t range = 1; range < ranges; ++range)
        for (std::int64_t i = 0; i < rows * block.width; ++i) total[i] += total[range * partial_size + i];
      for (std::int64_t o = 0; o < block.columns; ++o) {
        if (pdw)
          for (std::int64_t k = 0; k < patch; ++k)
            pdw[(block.first + o) * patch + k] = total[few ? o * patch + k : k * block.width + o];
        if (pdb) pdb[block.first + o] = total[patch * block.width + o];
      }
    }
  };
  parallel_for(blocks, rows_per_range(rows * tile_columns * ranges, 1 << 15), add_ranges);
}

}  // namespace mixgrad::kernels
