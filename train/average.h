// Averages of a model's weights: what Lookahead and WeightAverage share.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "nn/module.h"
#include "train/resumable.h"

namespace mixgrad::train {

// One of a model's tensors, and a second one beside it.
struct Averaged {
  Tensor weights, average;
};

// All of a model's parameters and buffers of floating type.
class AveragedWeights {
 public:
  AveragedWeights() = default;
  explicit AveragedWeights(nn::Module& model);  // average = weights

  bool defined() const { return !pairs_.empty(); }
  void swap() const;
  // average += rate (weights - average) and then, unless back is 0, weights = average, for coefficients rate and back,
  // f32 [2] on the model's device. A rate of 0 leaves the average as it is, whatever the weights are, and 1 copies
  // them.
  void update(const Tensor& coefficients) const;
  void state(StateVisitor& visitor) const;

 private:
  std::vector<Averaged> pairs_;
  std::vector<std::string> names_;
};

}  // namespace mixgrad::train

namespace mixgrad::kernels {
template <class T>
struct UpdateAverage {
  MIXGRAD_HOST_DEVICE explicit UpdateAverage(const float* c) : rate(c[0]), back(c[1] != 0) {}
  MIXGRAD_HOST_DEVICE bool does_nothing() const { return rate == 0 && !back; }
  MIXGRAD_HOST_DEVICE void operator()(T& weight, T& average) const {
    if (rate == 1) average = weight;
    else if (rate != 0) average += rate * (weight - average);
    if (back) weight = average;
  }

  T rate;
  bool back;
};
// For all elements of all pairs: in one launch for each 64 on the GPU.
MIXGRAD_KERNEL(update_averages, std::span<const train::Averaged> pairs, const Tensor& coefficients);
}  // namespace mixgrad::kernels
