// Where the elements of a convolution by tiles lie (private: for tiles_*.cpp). Images have a border of zeros; then what
// is under the kernel at a position lies at the same distances from the position's first element, whatever the
// position:
//
//   0 0 0 0 0 0        positions   where the kernel's first tap is for outputs 0, 1, ...: a tile's rows
//   0 . . . . 0        taps        how far each (u, v, c) is from there: the steps of its sums
//   0 . . . . 0
//   0 . . . . 0        element (row r, step k) of a tile = image[positions[r] + taps[k]]
//   0 0 0 0 0 0
//
// Small images go through some at once, one border behind the other, as if they were one. Images are independent but
// for the gradients of parameters, of which each range of images sums its own; then the ranges are added in order.
#pragma once

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/parallel.h"
#include "nn/conv2d_cpu/paths.h"

namespace mixgrad::kernels::conv2d_tiles {

// Channels are the columns of tiles: blocks of `tile_columns`, each [depth, width] with its rows side by side; the last
// block may be narrower. A block's first number is that of [first channel, depth].
struct Block {
  std::int64_t first, columns;  // channels
  std::int64_t width;           // the same in whole vectors
};
inline std::int64_t num_blocks(std::int64_t channels) { return num_ranges(channels, tile_columns); }
inline Block block_of(std::int64_t channels, std::int64_t block) {
  const std::int64_t first = block * tile_columns, columns = std::min(channels - first, tile_columns);
  return {first, columns, whole_vectors(columns)};
}

// Multiply-adds of one image, of whole vectors.
inline std::int64_t work_per_image(const Conv2dShape& s) {
  return s.positions() * s.patch() * whole_vectors(s.out_channels);
}
inline constexpr std::int64_t work_per_range = std::int64_t{1} << 18;  // that is worth a thread

// How many small images go through together: so many that they have `positions`, else tiles would have few rows, or
// little depth. A power of two.
inline std::int64_t images_at_once(const Conv2dShape& s, std::int64_t positions) {
  const std::int64_t images = num_ranges(positions, std::max<std::int64_t>(s.positions(), 1));
  return std::min(static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(images))), s.batch);
}
// Where images are what is shared among threads: some tiles' rows, or where an image is much work, one tile's.
inline std::int64_t images_at_once(const Conv2dShape& s) {
  return images_at_once(s, work_per_image(s) < work_per_range ? 4 * most_rows(1) : most_rows(1));
}

// A power of two as well, so that it is so many times those at once, and halves and quarters of a batch are whole
// ranges.
inline std::int64_t images_per_range(const Conv2dShape& s, std::int64_t at_once, std::int64_t most_ranges) {
  const std::int64_t images =
      std::max({rows_per_range(work_per_image(s), work_per_range), num_ranges(s.batch, most_ranges), at_once});
  return static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(images)));
}

// Where numbers lie: i * a.step + j * b.step + k * c.step for all i < a.size, j < b.size, k < c.size.
using Offsets = std::vector<std::int64_t>;
struct Axis {
  std::int64_t size, step;
};
inline Offsets grid(Axis a, Axis b, Axis c) {
  Offsets offsets(static_cast<std::size_t>(a.size * b.size * c.size));
  std::int64_t* next = offsets.data();
  for (std::int64_t i = 0; i < a.size; ++i)
    for (std::int64_t j = 0; j < b.size; ++j)
      for (std::int64_t k = 0; k < c.size; ++k) *next++ = i * a.step + j * b.step + k * c.step;
  return offsets;
}
inline Offsets line(std::int64_t size, std::int64_t step) { return grid({1, 0}, {1, 0}, {size, step}); }

// Images with a border of zeros: [height, width, channels] from (top, left) on.
struct Border {
  std::int64_t height, width, channels, top, left;

  std::int64_t row() const { return width * channels; }
  std::int64_t size() const { return height * row(); }
};

// Memory for each thread: not initialised, or zeros when the thread first asks.
class ThreadMemory {
 public:
  explicit ThreadMemory(std::int64_t size, bool zeros = false)
      : size_((size + 15) / 16 * 16),
        memory_(num_threads() * size_),
        asked_(static_cast<std::size_t>(num_threads()), !zeros) {}

  float* get() const {
    float* memory = memory_.data() + thread_index() * size_;
    if (!std::exchange(asked_[static_cast<std::size_t>(thread_index())], true)) std::fill_n(memory, size_, 0.0f);
    return memory;
  }

 private:
  std::int64_t size_;
  Scratch<> memory_;
  mutable std::vector<char> asked_;
};

// Some such images for each thread, one behind the other. What is put into their middle does not touch the border.
class BorderedImages {
 public:
  BorderedImages(const Border& border, std::int64_t images) : border_(border), memory_(images * border.size(), true) {}

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
      for (std::int64_t i = 0; i < height; ++i, images += width * border_.channels)
        copy_transposed(border_.channels, width, images, border_.channels,
                        memory + n * border_.size() + (border_.top + i) * border_.width + border_.left, plane, width);
    return memory;
  }

 private:
  Border border_;
  ThreadMemory memory_;
};

inline Border padded_input(const Conv2dShape& s) {
  return {s.height + 2 * s.padding, s.width + 2 * s.padding, s.in_channels, s.padding, s.padding};
}

// In padded images: the first numbers under the kernel at each position, and all numbers under it from there.
inline Offsets positions_of(const Conv2dShape& s, const Border& border, std::int64_t images) {
  return grid({images, border.size()}, {s.out_height, s.stride * border.row()},
              {s.out_width, s.stride * s.in_channels});
}
inline Offsets patch_of(const Conv2dShape& s, const Border& border) {
  return grid({s.kernel_height, border.row()}, {s.kernel_width, s.in_channels}, {s.in_channels, 1});
}

// For few outputs patches are copied, some at a time, each in whole vectors, with zeros behind.
class CopiedPatches {
 public:
  static constexpr std::int64_t at_once = 32;

  CopiedPatches(const Conv2dShape& s, const Border& border)
      : kernel_height_(s.kernel_height),
        tap_row_(s.kernel_width * s.in_channels),
        border_row_(border.row()),
        patch_(s.patch()),
        width_(whole_vectors(s.patch())),
        memory_(by_patches(s) ? at_once * width_ : 0) {}

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

}  // namespace mixgrad::kernels::conv2d_tiles
