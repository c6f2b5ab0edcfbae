// Test-time augmentation: a model's outputs for several views of the same images, averaged (Krizhevsky, Sutskever and
// Hinton, "ImageNet classification with deep convolutional neural networks", 2012).
//
//   train::Validation v = train::validate(model, data.valid, nn::cross_entropy, {train::accuracy}, cpu,
//                                         {.views = train::airbench_views()});
#pragma once

#include <functional>
#include <vector>

#include "train/validation.h"

namespace mixgrad::train {

struct View {
  std::function<Tensor(const Tensor& x)> images = {};  // of x f32 [N, H, W, C], on its device; empty: x itself
  double weight = 1;
};

struct ViewOptions {
  std::int64_t dy = 0, dx = 0;  // in pixels
  bool mirror = false;          // left to right
  double weight = 1;
};
// Images that are shifted, y[n, i, j] = x[n, i + dy, j + dx], reflected at the border (data/transform.h: Border), then
// mirrored. In use, throws unless |dy| < H and |dx| < W.
View view(const ViewOptions& options = {});

// Six: as they are and shifted by (-1, -1) and (1, 1), each plain and mirrored; the two that are not shifted weigh
// `unshifted` times as much as the others (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024).
std::vector<View> airbench_views(double unshifted = 2);

struct TtaOptions {
  std::vector<View> views = {{}};  // weights count relative to their sum
  // Below 1: views for this share of the images alone, those whose largest probability for the images as they are,
  // softmax of the output [N, C], is least; the others keep that output.
  double unsure_share = 1;
};

// The weighted mean of the outputs, such as logits, for the views of x [N, ...], on the model's device. In evaluation
// mode, without gradients. Throws unless weights are finite, not negative and not all 0, and 0 <= unsure_share <= 1.
Tensor predict(nn::Module& model, const Tensor& x, const TtaOptions& options);

// The same for all samples of a loader, in the order of its epoch 0, on `device`; unsure_share is that of all of them.
struct Predictions {
  Tensor output, target;
};
Predictions predict(nn::Module& model, const data::DataLoader& loader, const TtaOptions& options, Device device = cpu);

// Loss and metrics of these, as those of one batch.
Validation validate(nn::Module& model, const data::DataLoader& loader, const nn::Loss& loss,
                    const std::vector<Metric>& metrics, Device device, const TtaOptions& options);

}  // namespace mixgrad::train
