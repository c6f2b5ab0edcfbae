#include "nn/loss.h"

#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/view.h"

namespace mixgrad::nn {
namespace {

void check_shapes(const char* loss, const Tensor& output, const Tensor& target) {
  check(output.rank() >= 1 && output.shape() == target.shape() && output.dtype() == target.dtype(), loss,
        ": output is ", name_of(output.dtype()), output.shape(), ", target ", name_of(target.dtype()), target.shape());
}

Tensor mean_of_each(const Tensor& x) { return mean(flatten(x), 1); }

}  // namespace

Tensor reduce(const Tensor& per_sample, Reduction reduction) {
  if (reduction == Reduction::none) return per_sample;
  return reduction == Reduction::mean ? mean(per_sample) : sum(per_sample);
}

Tensor Loss::each_sample(const Tensor& output, const Tensor& target) const {
  Tensor result = per_sample(output, target);
  check(result.shape() == Shape{output.size(0)}, name, ": per_sample gave ", result.shape(), " for output ",
        output.shape(), ", not one number for each sample");
  return result;
}

Tensor mse_per_sample(const Tensor& output, const Tensor& target) {
  check_shapes("mse", output, target);
  return mean_of_each(pow(output - target, 2));
}

Tensor l1_per_sample(const Tensor& output, const Tensor& target) {
  check_shapes("l1", output, target);
  return mean_of_each(abs(output - target));
}

Tensor bce_with_logits_per_sample(const Tensor& logits, const Tensor& target) {
  check_shapes("bce_with_logits", logits, target);
  // softplus(logits) - target * logits would cancel where the target is near 1: for a logit of 20, to 0 in f32.
  return mean_of_each(weighted(target, softplus(-logits)) + weighted(1 - target, softplus(logits)));
}

}  // namespace mixgrad::nn
