// Inputs brought to mean 0 and deviation 1 by constants that are given: a layer made of operations that exist, so it
// has neither a kernel nor a backward function of its own.
#pragma once

#include <cmath>
#include <vector>

#include "core/pointwise.h"
#include "nn/module.h"

namespace mixgrad::nn {

// y[..., c] = (x[..., c] - mean[c]) / deviation[c] for x [..., C], with C constants that are given, not learned. The
// first layer of a model, and no transform of the data: so training, validate() and predict() cannot differ in it, it
// is saved with the weights, and transforms and pictures meet images in [0, 1].
//
//   nn::Sequential model(nn::Normalise({0.1307f}, {0.3081f}), nn::simple_cnn({1, 16, 16, 10}));
class Normalise : public Module {
 public:
  // Throws unless there are as many deviations as means, at least one, all finite and the deviations positive.
  Normalise(const std::vector<float>& means, const std::vector<float>& deviations) {
    check(!means.empty() && means.size() == deviations.size(), "Normalise: ", means.size(), " means and ",
          deviations.size(), " deviations");
    for (std::size_t c = 0; c < means.size(); ++c)
      check(std::isfinite(means[c]) && std::isfinite(deviations[c]) && deviations[c] > 0, "Normalise: channel ", c,
            " has mean ", means[c], " and deviation ", deviations[c]);
    mean = Tensor::from(means, {std::ssize(means)});
    deviation = Tensor::from(deviations, {std::ssize(means)});
  }

  // Throws unless the last axis has C entries.
  Tensor forward(const Tensor& x) override {
    check(x.rank() >= 1 && x.size(-1) == mean.numel(), "Normalise: input ", x.shape(), " must have ", mean.numel(),
          " channels in its last axis");
    return (x - mean) / deviation;
  }
  void visit(Visitor& visitor) override {
    visitor.buffer("mean", mean);
    visitor.buffer("deviation", deviation);
  }
  std::string name() const override { return "Normalise(" + std::to_string(mean.numel()) + ")"; }

  Tensor mean, deviation;  // [C]
};

}  // namespace mixgrad::nn
