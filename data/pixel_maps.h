// What the transforms do to a pixel: function objects for both devices, and the kernel that takes them (private).
//
// A map says where an output pixel comes from and what becomes of its value; `row` is its image's row of the table. To
// add a transform, write its map, add it to PixelMap, and give data/transform.cpp a function that draws its rows.
#pragma once

#include <cstdint>
#include <variant>

#include "core/host_device.h"
#include "core/tensor.h"

namespace mixgrad::pixel_maps {

struct Image {  // fewer than 2^31 pixels, counted row by row
  std::int32_t height, width;
};
constexpr std::int32_t nowhere = -1;

// Leaves everything as it is.
struct Identity {
  static constexpr float fill = 0;
  // The pixel that output pixel (i, j) comes from; nowhere: it becomes `fill`.
  static MIXGRAD_HOST_DEVICE std::int32_t source(Image image, const float* /*row*/, std::int32_t i, std::int32_t j) {
    return i * image.width + j;
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
  MIXGRAD_HOST_DEVICE std::int32_t source(Image image, const float* row, std::int32_t i, std::int32_t j) const {
    std::int32_t y = i + pixels(row[0]), x = j + pixels(row[1]);
    if (reflect) y = mirrored(y, image.height), x = mirrored(x, image.width);
    return y >= 0 && y < image.height && x >= 0 && x < image.width ? y * image.width + x : nowhere;
  }
};

struct Flip : Identity {
  static constexpr const char* name = "horizontal_flip";
  static constexpr int columns = 1;  // whether to flip

  static MIXGRAD_HOST_DEVICE std::int32_t source(Image image, const float* row, std::int32_t i, std::int32_t j) {
    return Identity::source(image, row, i, *row != 0 ? image.width - 1 - j : j);
  }
};

struct Cutout : Identity {
  static constexpr const char* name = "cutout";
  static constexpr int columns = 2;  // the square's first row and column
  std::int32_t size;
  float fill;

  MIXGRAD_HOST_DEVICE std::int32_t source(Image image, const float* row, std::int32_t i, std::int32_t j) const {
    const std::int32_t down = i - pixels(row[0]), right = j - pixels(row[1]);
    const bool blank = down >= 0 && down < size && right >= 0 && right < size;
    return blank ? nowhere : Identity::source(image, row, i, j);
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
MIXGRAD_KERNEL(transform, const pixel_maps::PixelMap& map, const Tensor& x, const Tensor& table, Out y);
}  // namespace mixgrad::kernels
