// Metrics: what a validation reports beside the loss.
#pragma once

#include <functional>
#include <string>

#include "core/tensor.h"

namespace mixgrad::train {

// A mean over the samples of a batch; a validation weighs batches by their size.
struct Metric {
  std::string name;
  std::function<double(const Tensor& output, const Tensor& target)> mean;
};

// The share of samples whose largest output is the target's class. output [N, C]; target i32 [N], or [N, C] whose
// largest entry is the class. Throws on other shapes.
double accuracy_of(const Tensor& output, const Tensor& target);

inline const Metric accuracy{"accuracy", accuracy_of};

}  // namespace mixgrad::train
