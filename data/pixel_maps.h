// What the transforms do to a pixel: function objects for both devices, and the kernel that takes them (private).
//
// A map says where an output pixel comes from and what becomes of its value; `row` is its image's row of the table. To
// add a transform, write its map, add it to PixelMap, and give data/transform.cpp a function that draws its rows.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <variant>

#include "core/host_device.h"
#include "core/tensor.h"

namespace mixgrad::pixel_maps {

struct Image {  // fewer than 2^31 pixels, counted row by row
  std::int32_t height, width;
};

// This output pixel and those after it, up to `count` of them, come from the pixels source, source + step, ...; they
// are `fill` where `source` is outside the image. The CPU handles a run at once, so that longer ones are faster.
struct Run {
  std::int32_t source, count;
  std::int32_t step = 1;  // or -1
};
constexpr std::int32_t nowhere = -1, to_the_end = std::numeric_limits<std::int32_t>::max();

// Leaves everything as it is.
struct Identity {
  static constexpr float fill = 0;
  // From output pixel (i, j) on.
  static MIXGRAD_HOST_DEVICE Run run(Image image, const float* /*row*/, std::int32_t i, std::int32_t j) {
    return {i * image.width + j, to_the_end};
  }
  static MIXGRAD_HOST_DEVICE float value(float x, const float* /*row*/) { return x; }
};

// An entry of the table as a number of pixels; 2^24, which is outside every image, unless it is in -2^24..2^24.
MIXGRAD_HOST_DEVICE inline std::int32_t pixels(float entry) {
  constexpr std::int32_t most = 1 << 24;
  return entry >= -most && entry <= most ? static_cast<std::int32_t>(entry) : most;
}

struct Crop : Identity {
  static constexpr const char* name = "random_crop";
  static constexpr int columns = 2;  // dy, dx
  bool reflect;

  static MIXGRAD_HOST_DEVICE std::int32_t mirrored(std::int32_t at, std::int32_t extent) {
    return at < 0 ? -at : at < extent ? at : 2 * (extent - 1) - at;
  }
  MIXGRAD_HOST_DEVICE Run run(Image image, const float* row, std::int32_t i, std::int32_t j) const {
    const std::int32_t rest = image.width - j, straight = i + pixels(row[0]), x = j + pixels(row[1]);
    const std::int32_t y = reflect ? mirrored(straight, image.height) : straight;
    if (y < 0 || y >= image.height) return {nowhere, rest};
    const std::int32_t first = y * image.width;
    if (x >= 0 && x < image.width) return {first + x, std::min(rest, image.width - x)};
    const std::int32_t opposite = mirrored(x, image.width), count = x < 0 ? std::min(rest, -x) : rest;
    if (!reflect) return {nowhere, count};
    if (opposite < 0 || opposite >= image.width) return {nowhere, 1};  // draw prevents it
    return {first + opposite, std::min(count, opposite + 1), -1};
  }
};

struct Flip : Identity {
  static constexpr const char* name = "horizontal_flip";
  static constexpr int columns = 1;  // whether to flip

  static MIXGRAD_HOST_DEVICE Run run(Image image, const float* row, std::int32_t i, std::int32_t j) {
    return *row != 0 ? Run{(i + 1) * image.width - 1 - j, image.width - j, -1} : Identity::run(image, row, i, j);
  }
};

struct Cutout : Identity {
  static constexpr const char* name = "cutout";
  static constexpr int columns = 2;  // the square's first row and column
  std::int32_t size;
  float fill;

  MIXGRAD_HOST_DEVICE Run run(Image image, const float* row, std::int32_t i, std::int32_t j) const {
    const std::int32_t top = pixels(row[0]), left = pixels(row[1]);
    if (i >= top && i < top + size && j >= left && j < left + size)
      return {nowhere, std::min(image.width, left + size) - j};
    Run run = Identity::run(image, row, i, j);
    const std::int32_t next = i < top    ? std::min(top, image.height)
                              : j < left ? i
                                         : i + 1;  // row with the square ahead
    if (next < top + size) run.count = (next - i) * image.width + std::max(left, 0) - j;
    return run;
  }
};

struct BrightnessContrast : Identity {
  static constexpr const char* name = "brightness_contrast";
  static constexpr int columns = 2;  // u, v

  static MIXGRAD_HOST_DEVICE float value(float x, const float* row) { return (x + row[0]) * (1 + row[1]); }
};

using PixelMap = std::variant<Crop, Flip, Cutout, BrightnessContrast>;

}  // namespace mixgrad::pixel_maps

namespace mixgrad::kernels {
// y = the map of x f32 [N, H, W, C], none of them 0, for a table f32 of N rows.
MIXGRAD_KERNEL(transform, const pixel_maps::PixelMap& map, const Tensor& x, const Tensor& table, const Tensor& y);
}  // namespace mixgrad::kernels
