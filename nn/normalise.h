// Normalise: brings the channels of the input to mean 0 and deviation 1, with constants that are given, not learned.
//
// It is a layer, the first of a model, and no transform of the data: so training, validate() and predict() cannot
// differ in it, it is saved with the weights, and transforms and pictures meet images in [0, 1].
//
//   nn::Sequential model(nn::Normalise({0.1307f}, {0.3081f}), nn::simple_cnn({1, 16, 16, 10}));
#pragma once

#include <vector>

#include "nn/module.h"

namespace mixgrad::nn {

// y[..., c] = (x[..., c] - mean[c]) / deviation[c] for x [..., C], C the number of constants given.
class Normalise : public Module {
 public:
  // Throws unless there are as many deviations as means, at least one, all finite and the deviations positive.
  Normalise(const std::vector<float>& mean, const std::vector<float>& deviation);

  // Throws unless the last axis has C entries.
  Tensor forward(const Tensor& x) override;
  void visit(Visitor& visitor) override;
  std::string name() const override;

  Tensor mean, deviation;  // [C]
};

}  // namespace mixgrad::nn
