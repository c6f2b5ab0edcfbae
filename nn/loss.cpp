#include "nn/loss.h"

#include "core/check.h"
#include "core/pointwise.h"
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

Tensor Loss::each_mixed_sample(const Tensor& output, const Tensor& y, const Tensor& partner,
                               const Tensor& lambda) const {
  if (mixed_indices && y.dtype() == DType::i32 && partner.dtype() == DType::i32 && !lambda.requires_grad())
    return mixed_indices(output, y, partner, lambda);
  return lambda * each_sample(output, y) + (1.0 - lambda) * each_sample(output, partner);
}

}  // namespace mixgrad::nn
