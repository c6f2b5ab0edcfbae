#include "nn/conv2d_direct.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "core/allocator.h"
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

// Multiply-adds of one image, of whole vectors.
std::int64_t work_per_image(const Conv2dShape& s) { return s.positions() * s.patch() * whole_vectors(s.out_channels); }
constexpr std::int64_t work_per_range = std::int64_t{1} << 18;  // that is worth a thread

// Small images go through together, so many that they have `positions`: else tiles would have few rows, or little
// depth. A power of two.
std::int64_t images_at_once(const Conv2dShape& s, std::int64_t positions) {
  const std::int64_t images = num_ranges(positions, std::max<std::int64_t>(s.positions(), 1));
  return std::min(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(images))), s.batch);
}
// Where images are what is shared among threads: some tiles' rows, or where an image is much work, one tile's.
std::int64_t images_at_once(const Conv2dShape& s) {
  return images_at_once(s, work_per_image(s) < work_per_range ? 4 * most_rows(1) : most_rows(1));
}

// A power of two as well, so that it is so many times those at once, and halves and quarters of a batch are whole
// ranges.
std::int64_t images_per_range(const Conv2dShape& s, std::int64_t at_once, std::int64_t most_ranges) {
  const std::int64_t images =
      std::max({rows_per_range(work_per_image(s), work_per_range), num_ranges(s.batch, most_ranges), at_once});
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(images)));
}

// Where numbers lie: i * a.step + j * b.step + k * c.step for all i < a.size, j < b.size, k < c.size.
using Offsets = std::vector<std::int64_t>;
struct Axis {
  std::int64_t size, step;
};
Offsets grid(Axis a, Axis b, Axis c) {
  Offsets offsets(static_cast<std::size_t>(a.size * b.size * c.size));
  std::int64_t* next = offsets.data();
  for (std::int64_t i = 0; i < a.size; ++i)
    for (std::int64_t j = 0; j < b.size; ++j)
      for (std::int64_t k = 0; k < c.size; ++k) *next++ = i * a.step + j * b.step + k * c.step;
  return offsets;
}
Offsets line(std::int64_t size, std::int64_t step) { return grid({1, 0}, {1, 0}, {size, step}); }

// Images with a border of zeros: [height, width, channels] from (top, left) on.
struct Border {
  std::int64_t height, width, channels, top, left;

  std::int64_t row() const { return width * channels; }
  std::int64_t size() const { return height * row(); }
};

// Memory for each thread, not initialised.
class ThreadMemory {
 public:
  explicit ThreadMemory(std::int64_t size) : size_((size + 15) / 16 * 16), memory_(num_threads() * size_) {}
  float* get() const { return memory_.data() + thread_index() * size_; }

 private:
  std::int64_t size_;
  Scratch memory_;
};

// The same with zeros in it when a thread first asks.
class ZeroedThreadMemory {
 public:
  explicit ZeroedThreadMemory(std::int64_t size)
      : size_(size), memory_(size), used_(static_cast<std::size_t>(num_threads())) {}

  float* get() const {
    float* memory = memory_.get();
    if (!std::exchange(used_[static_cast<std::size_t>(thread_index())], true)) std::fill_n(memory, size_, 0.0f);
    return memory;
  }

 private:
  std::int64_t size_;
  ThreadMemory memory_;
  mutable std::vector<char> used_;
};

// Some such images for each thread, one behind the other. What is put into their middle does not touch the border.
class BorderedImages {
 public:
  BorderedImages(const Border& border, std::int64_t images) : border_(border), memory_(images * border.size()) {}

  // This thread's, with `count` images [height, width, channels] in their middle; where `mask`, images too, is given,
  // its numbers up to 0 put zeros in the place of the images'.
  const float* put(std::int64_t count, std::int64_t height, std::int64_t width, const float* images,
                   const float* mask = nullptr) const {
    const std::int64_t row = width * border_.channels;
    float* memory = memory_.get();
    for (std::int64_t n = 0; n < count; ++n)
      for (std::int64_t i = 0; i < height; ++i, images += row) {
        float* to = memory + n * border_.size() + (border_.top + i) * border_.row() + border_.left * border_.channels;
        copy_row(images, mask, row, to);
        if (mask) mask += row;
      }
    return memory;
  }

  // The same as [channels, height, width] each.
  const float* put_planes(std::int64_t count, std::int64_t height, std::int64_t width, const float* images) const {
    const std::int64_t plane = border_.height * border_.width;
    float* memory = memory_.get();
    for (std::int64_t n = 0; n < count; ++n)
      for (std::int64_t i = 0; i < height; ++i)
        for (std::int64_t j = 0; j < width; ++j, images += border_.channels) {
          float* to = memory + n * border_.size() + (border_.top + i) * border_.width + border_.left + j;
          for (std::int64_t c = 0; c < border_.channels; ++c) to[c * plane] = images[c];
        }
    return memory;
  }

 private:
  Border border_;
  ZeroedThreadMemory memory_;
};

Border padded_input(const Conv2dShape& s) {
  return {s.height + 2 * s.padding, s.width + 2 * s.padding, s.in_channels, s.padding, s.padding};
}

// In padded images: the first numbers under the kernel at each position, and all numbers under it from there.
Offsets positions_of(const Conv2dShape& s, const Border& border, std::int64_t images) {
  return grid({images, border.size()}, {s.out_height, s.stride * border.row()},
              {s.out_width, s.stride * s.in_channels});
}
Offsets patch_of(const Conv2dShape& s, const Border& border) {
  return grid({s.kernel_height, border.row()}, {s.kernel_width, s.in_channels}, {s.in_channels, 1});
}

// Whether outputs are so few that vectors of them would be nearly empty: then vectors hold numbers of a patch.
bool has_few_outputs(const Conv2dShape& s) { return s.out_channels <= lanes / 4 && s.patch() >= lanes; }

// For few outputs patches are copied, some at a time, each in whole vectors, with zeros behind.
class Patches {
 public:
  static constexpr std::int64_t at_once = 32;

  Patches(const Conv2dShape& s, const Border& border)
      : kernel_height_(s.kernel_height),
        tap_row_(s.kernel_width * s.in_channels),
        border_row_(border.row()),
        patch_(s.patch()),
        width_(whole_vectors(s.patch())),
        memory_(has_few_outputs(s) ? at_once * width_ : 0) {}

  std::int64_t width() const { return width_; }
  // Calls f(patches, first, count) for parts of 0..n-1; patches is [count, width].
  template <class F>
  void for_each(const float* images, const Offsets& positions, std::int64_t n, F&& f) const {
    float* patches = memory_.get();
    for_each_part(n, at_once, [&](std::int64_t first, std::int64_t count) {
      for (std::int64_t p = 0; p < count; ++p) {
        const float* from = images + positions[static_cast<std::size_t>(first + p)];
        for (std::int64_t u = 0; u < kernel_height_; ++u)
          copy_row(from + u * border_row_, nullptr, tap_row_, patches + p * width_ + u * tap_row_);
        std::fill_n(patches + p * width_ + patch_, width_ - patch_, 0.0f);
      }
      f(patches, first, count);
    });
  }

 private:
  std::int64_t kernel_height_, tap_row_, border_row_, patch_, width_;
  ThreadMemory memory_;
};

// Outputs [count, out] as products of patches [count, width] and weights [out, width].
void forward_of_few_outputs(std::int64_t count, std::int64_t out, std::int64_t width, bool relu, const float* patches,
                            const float* weight, const float* bias, float* y) {
  for (std::int64_t p = 0; p < count; ++p, patches += width)
    for (std::int64_t o = 0; o < out; ++o) {
      Vector products{};
      for (std::int64_t k = 0; k < width; k += lanes) products += load(patches + k) * load(weight + o * width + k);
      const float value = (bias ? bias[o] : 0.0f) + horizontal_sum(products);
      *y++ = relu && value <= 0 ? 0.0f : value;
    }
}

}  // namespace

void conv2d_forward_direct(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const Tensor& y) {
  const std::int64_t patch = s.patch(), blocks = num_blocks(s.out_channels), at_once = images_at_once(s);
  const bool few = has_few_outputs(s);
  const Border border = padded_input(s);
  const BorderedImages padded(border, s.padding > 0 ? at_once : 0);
  const Patches patches(s, border);
  const Offsets positions = positions_of(s, border, at_once), taps = patch_of(s, border);
  const Offsets outputs = line(most_rows(1), s.out_channels);
  const float* px = x.data<float>();
  const float* pw = weight.data<float>();
  const float* pb = bias.defined() ? bias.data<float>() : nullptr;
  float* py = y.mutable_data<float>();
  const Scratch packed(few ? s.out_channels * whole_vectors(patch) : patch * whole_vectors(s.out_channels));
  float* pp = packed.data();
  if (few) copy_panel(false, s.out_channels, patch, pw, patch, pp);
  else
    parallel_for(blocks, rows_per_range(patch * tile_columns, 1 << 15), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const Block block = block_of(s.out_channels, b);
        copy_panel(true, patch, block.columns, pw + block.first * patch, patch, pp + block.first * patch);
      }
    });
  parallel_for(s.batch, images_per_range(s, at_once, 64), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; n += at_once) {
      const std::int64_t images = std::min(at_once, end - n), count = images * s.positions();
      const float* image = px + n * s.height * s.width * s.in_channels;
      if (s.padding > 0) image = padded.put(images, s.height, s.width, image);
      float* out = py + n * s.positions() * s.out_channels;
      if (few) {
        patches.for_each(image, positions, count, [&](const float* from, std::int64_t first, std::int64_t n) {
          forward_of_few_outputs(n, s.out_channels, patches.width(), s.relu, from, pp, pb,
                                 out + first * s.out_channels);
        });
        continue;
      }
      for (std::int64_t b = 0; b < blocks; ++b) {
        const Block block = block_of(s.out_channels, b);
        for_each_part(count, most_rows(block.columns), [&](std::int64_t first, std::int64_t rows) {
          multiply({.a = image,
                    .a_rows = positions.data() + first,
                    .a_steps = taps.data(),
                    .b = pp + block.first * patch,
                    .b_row = block.width,
                    .start = pb ? pb + block.first : nullptr,
                    .c = out + first * s.out_channels + block.first,
                    .c_rows = outputs.data(),
                    .rows = rows,
                    .columns = block.columns,
                    .depth = patch,
                    .relu = s.relu});
        });
      }
    }
  });
}

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

}  // namespace

void conv2d_input_gradient_direct(const Conv2dShape& s, const Tensor& weight, const Tensor& y, const Tensor& dy,
                                  const Tensor& dx) {
  const std::int64_t blocks = num_blocks(s.in_channels), at_once = images_at_once(s);
  const Border border = padded_output(s);
  const BorderedImages padded(border, at_once);
  const std::vector<Phase> phases = phases_of(s, border, at_once);
  const std::int64_t depth = s.kernel_height * s.kernel_width * s.out_channels;
  const Scratch packed(whole_vectors(s.in_channels) * depth);
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

namespace {

// The outputs' gradients dy [positions, channels] of one block as [positions, width], where `mask` is given with zeros
// where the output is at most 0; bias_sums [width] += their sums.
void pack_gradients(const Block& block, std::int64_t positions, std::int64_t channels, const float* dy,
                    const float* mask, float* to, float* bias_sums) {
  constexpr std::int64_t at_once = 4;  // sums, so that none waits for the last
  for (std::int64_t v = 0; v < block.width; v += lanes) {
    Vector sums[at_once] = {load(bias_sums + v)};
    const auto pack = [&](std::int64_t p, Vector& sum) {
      const std::int64_t from = p * channels + block.first + v;
      Vector g = load(dy + from, block.columns - v);
      if (mask) g = load(mask + from, block.columns - v) <= Vector{} ? Vector{} : g;
      sum += g;
      store(to + p * block.width + v, g);
    };
    std::int64_t p = 0;
    for (; p + at_once <= positions; p += at_once)
#pragma GCC unroll 4
      for (std::int64_t i = 0; i < at_once; ++i) pack(p + i, sums[i]);
    for (; p < positions; ++p) pack(p, sums[0]);
    store(bias_sums + v, sums[0] + sums[1] + (sums[2] + sums[3]));
  }
}

// c(r, j) += sum over k < depth of a(r, k) b(k, j) for any number of rows and columns, with a(r, k) as in a tile and
// rows of b and c, whole vectors, side by side.
void add_product(const Offsets& a_rows, const Offsets& a_steps, std::int64_t depth, const float* a, const float* b,
                 std::int64_t columns, float* c) {
  std::int64_t c_rows[most_rows(1)];
  for (std::int64_t r = 0; r < most_rows(1); ++r) c_rows[r] = r * columns;
  for (std::int64_t j = 0; j < columns; j += tile_columns) {
    const std::int64_t width = std::min(columns - j, tile_columns);
    for_each_part(static_cast<std::int64_t>(a_rows.size()), most_rows(width), [&](std::int64_t i, std::int64_t rows) {
      float* to = c + i * columns + j;
      multiply({.a = a,
                .a_rows = a_rows.data() + i,
                .a_steps = a_steps.data(),
                .b = b + j,
                .b_row = columns,
                .start = to,
                .start_row = columns,
                .c = to,
                .c_rows = c_rows,
                .rows = rows,
                .columns = width,
                .depth = depth});
    });
  }
}

}  // namespace

void conv2d_weight_gradient_direct(const Conv2dShape& s, const Tensor& x, const Tensor& y, const Tensor& dy,
                                   const Tensor& dweight, const Tensor& dbias) {
  const std::int64_t patch = s.patch(), blocks = num_blocks(s.out_channels),
                     at_once = images_at_once(s, 8 * most_rows(1));
  // A unit of work is a range of images and a block of output channels; few ranges where there are many blocks.
  const std::int64_t most_ranges = std::max<std::int64_t>(16 / std::max<std::int64_t>(blocks, 1), 1);
  const std::int64_t grain = images_per_range(s, at_once, most_ranges);
  const std::int64_t ranges = std::max<std::int64_t>(num_ranges(s.batch, grain), 1);
  const Border border = padded_input(s);
  // A large image of many channels is kept plane by plane: then a tile's rows, which are channels, are each read from
  // neighbouring numbers.
  const bool few = has_few_outputs(s), planes = !few && s.in_channels >= 8 && border.size() > 8192;
  const bool copied = planes || s.padding > 0;
  const BorderedImages padded(border, copied ? at_once : 0);
  const Patches patches(s, border);
  const Offsets positions =
      planes ? grid({at_once, border.size()}, {s.out_height, s.stride * border.width}, {s.out_width, s.stride})
             : positions_of(s, border, at_once);
  const Offsets taps =
      planes ? grid({s.kernel_height, border.width}, {s.kernel_width, 1}, {s.in_channels, border.height * border.width})
             : patch_of(s, border);
  const Offsets outputs = line(few ? s.out_channels : 0, 1), gradient_rows = line(Patches::at_once, lanes);  // of few
  // Of each range, in blocks: the sums, [patch, width] or of few outputs [out, width of a patch], and behind them the
  // bias's, [width].
  const std::int64_t rows = patch + 1, partial_size = whole_vectors(s.out_channels) * rows;
  const Scratch partials(ranges * partial_size);
  // The outputs' gradients of some images and one block, [positions, width], for each thread.
  const ThreadMemory gradients(at_once * s.positions() * tile_columns);
  const float* px = x.data<float>();
  const float* pdy = dy.data<float>();
  const float* py = s.relu ? y.data<float>() : nullptr;
  float* pp = partials.data();
  parallel_ranges(ranges * blocks, 1, [&](std::int64_t unit, std::int64_t, std::int64_t) {
    const std::int64_t range = unit / blocks, end = std::min((range + 1) * grain, s.batch);
    const Block block = block_of(s.out_channels, unit % blocks);
    float* gradient = gradients.get();
    float* sums = pp + range * partial_size + block.first * rows;
    std::fill_n(sums, rows * block.width, 0.0f);
    for (std::int64_t n = range * grain; n < end; n += at_once) {
      const std::int64_t images = std::min(at_once, end - n), count = images * s.positions();
      const std::int64_t first = n * s.positions() * s.out_channels;
      pack_gradients(block, count, s.out_channels, pdy + first, py ? py + first : nullptr, gradient,
                     sums + patch * block.width);
      if (!dweight.defined()) continue;
      const float* image = px + n * s.height * s.width * s.in_channels;
      if (planes) image = padded.put_planes(images, s.height, s.width, image);
      else if (copied) image = padded.put(images, s.height, s.width, image);
      if (!few) {
        add_product(taps, positions, count, image, gradient, block.width, sums);
        continue;
      }
      patches.for_each(image, positions, count, [&](const float* from, std::int64_t begin, std::int64_t part) {
        add_product(outputs, gradient_rows, part, gradient + begin * lanes, from, patches.width(), sums);
      });
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
            pdw[(block.first + o) * patch + k] = total[few ? o * whole_vectors(patch) + k : k * block.width + o];
        if (pdb) pdb[block.first + o] = total[patch * block.width + o];
      }
    }
  };
  parallel_for(blocks, rows_per_range(rows * tile_columns * ranges, 1 << 15), add_ranges);
}

}  // namespace mixgrad::kernels
