#include "augment/mixup.h"

#include "core/index.h"
#include "core/pointwise.h"
#include "core/view.h"

namespace mixgrad::augment {
namespace {

void check_sizes(const Tensor& x, const Tensor& partners, const MixPlan& plan) {
  check_plan(plan);
  check(x.rank() >= 1 && x.size(0) == plan.size(), "mixup: a plan for ", plan.size(), " samples on a batch of shape ",
        x.shape());
  check(x.shape() == partners.shape(), "mixup: batch ", x.shape(), " and second batch ", partners.shape(), " differ");
}

}  // namespace

Tensor mix(const MixedInput& input) {
  const auto& [x, partner, lambda] = input;
  check(is_floating(x.dtype()), "mixup: ", name_of(x.dtype()), x.shape(),
        " can't be mixed; class indices become numbers with one_hot, or stay as they are in a MixedTarget");
  check(lambda.shape() == Shape{x.size(0)}, "mixup: lambda is ", lambda.shape(), ", input ", x.shape());
  // lambda [N] as [N, 1, ..., 1], which broadcasts over all axes of x but the first.
  Shape column = x.shape();
  for (int axis = 1; axis < x.rank(); ++axis) column = column.with(axis, 1);
  const Tensor weight = reshape(lambda.to(x.dtype()), column);
  // lambda x + (1 - lambda) partner, written so that a sample mixed with itself stays the same to the last bit.
  return x + (1.0 - weight) * (partner - x);
}

Tensor mix(const Tensor& x, const Tensor& partners, const MixPlan& plan) { return mix(stack_input(x, partners, plan)); }

Tensor mix(const Tensor& x, const MixPlan& plan) { return mix(x, x, plan); }

MixedInput stack_input(const Tensor& x, const Tensor& partners, const MixPlan& plan) {
  check_sizes(x, partners, plan);
  return {x, gather(partners, plan.permutation.to(x.device())), plan.lambda.to(x.device())};
}

MixedTarget mixed_target(const Tensor& y, const Tensor& partners, const MixPlan& plan) {
  check_sizes(y, partners, plan);
  return {y, gather(partners, plan.permutation.to(y.device())), plan.lambda.to(y.device())};
}

MixedTarget mixed_target(const Tensor& y, const MixPlan& plan) { return mixed_target(y, y, plan); }

}  // namespace mixgrad::augment
