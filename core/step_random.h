// The random streams of whatever draws while it computes, such as dropout: numbered in the order in which they are
// taken, so that the same program draws the same.
#pragma once

#include "core/random.h"
#include "core/scope.h"
#include "core/tensor.h"

namespace mixgrad {

struct StepStream {
  std::uint64_t seed;
  std::uint32_t number;  // since manual_seed; more than the number in `first`, where it is defined
  Tensor first;          // i32 [1] (as unsigned) in the memory of the device
};

// The next one, of the default seed. Combined with a Purpose of its own it is whoever asked's alone.
StepStream next_step_stream();

// While it lives, streams are counted from a number in the memory of the device: for a step that is captured, to be
// replayed with another number. random_state() still advances.
class StepStreamsFrom : NonCopyable {
 public:
  explicit StepStreamsFrom(const Tensor& first);

 private:
  Temporarily<Tensor> first_;
  Temporarily<std::uint32_t> begin_;
};

}  // namespace mixgrad
