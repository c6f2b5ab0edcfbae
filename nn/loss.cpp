#include "nn/loss.h"

#include "core/check.h"
#include "core/reduce.h"

namespace mixgrad::nn {

Tensor reduce(const Tensor& per_sample, Reduction reduction) {
  switch (reduction) {
    case Reduction::mean: return mean(per_sample);
    case Reduction::sum: return sum(per_sample);
    case Reduction::none: break;
  }
  return per_sample;
}

Tensor Loss::each_sample(const Tensor& output, const Tensor& target) const {
  Tensor result = per_sample(output, target);
  check(result.shape() == Shape{output.size(0)}, name, ": per_sample gave ", result.shape(), " for output ",
        output.shape(), ", not one number for each sample");
  return result;
}

}  // namespace mixgrad::nn
