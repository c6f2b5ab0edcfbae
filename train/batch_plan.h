// BatchPlan: what the host decides for a batch before any of it is computed. A value: it can be printed, and is the
// same on every device.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::train {

using NamedValues = std::map<std::string, Tensor>;

struct BatchPlan {
  std::uint32_t pass = 0;             // over the training data, from 0, counted over all fits
  std::int64_t batch = 0;             // of the epoch, from 0
  std::vector<std::int32_t> indices;  // of its samples in the training data
  double lr = 0, momentum = 0;        // of the optimizer's step
  // What callbacks decide besides, under names of their own ("mixup.lambda"): f32 or i32 on the CPU. The names, and the
  // shapes of full batches, are the same for all batches. Learner::planned gives them on the device.
  NamedValues values;
};

// "pass 0, batch 2: lr 0.001, momentum 0.9, samples 5 0 3", then a line for each value.
std::ostream& operator<<(std::ostream& out, const BatchPlan& plan);

}  // namespace mixgrad::train
