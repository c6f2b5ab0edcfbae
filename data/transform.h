// Batch transforms: random changes of images, so that a model sees each a little differently in every epoch.
//
// For training only (train/transform_callback.h). What applies to every input, also in validation and prediction, is a
// layer of the model instead: nn/normalise.h.
#pragma once

#include <cstdint>
#include <functional>

#include "core/random.h"
#include "core/tensor.h"

namespace mixgrad::data {

// Maps images x f32 [N, H, W, C] to new ones of the same shape; x is unchanged, and no gradient flows. Its draws depend
// on N, H and W alone and are made image by image before any pixel moves, so that the same `random` gives the same
// batch for any number of threads. Throws on another dtype or rank.
using Transform = std::function<Tensor(const Tensor& x, Random& random)>;

struct RandomCropOptions {
  std::int64_t padding = 4;  // in pixels, on all four sides
};
// A random window of H x W, uniform among the (2 padding + 1)^2 of the zero-padded image:
//   y[n, i, j] = x[n, i + dy_n - padding, j + dx_n - padding], zero outside; dy, dx ~ U{0, ..., 2 padding}.
// Throws unless 0 <= padding <= 2^20.
Transform random_crop(const RandomCropOptions& options = {});

struct HorizontalFlipOptions {
  double probability = 0.5;
};
// Mirrors each image left to right with this probability. Throws unless it is in 0..1.
Transform horizontal_flip(const HorizontalFlipOptions& options = {});

struct CutoutOptions {
  std::int64_t size = 8;  // side of the square, in pixels
  float fill = 0;         // its pixels' value; the paper's is the mean of the data
};
// Blanks out a square of each image (DeVries and Taylor, "Improved regularization of convolutional neural networks with
// cutout", 2017): rows cy - size/2 .. cy - size/2 + size - 1 and columns likewise, about a centre that is uniform over
// the image, so that part of the square may be outside. Throws unless 1 <= size <= 2^20.
Transform cutout(const CutoutOptions& options = {});

}  // namespace mixgrad::data
