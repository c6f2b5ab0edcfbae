#include "augment/mixup.h"

#include "core/autograd.h"
#include "core/index.h"
#include "core/parallel.h"
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
        " can't be mixed; convert class indices with one_hot, or keep them in a MixedTarget");
  check(x.shape() == partner.shape() && x.dtype() == partner.dtype(), "mixup: samples ", name_of(x.dtype()), x.shape(),
        " and partners ", name_of(partner.dtype()), partner.shape(), " differ");
  check(x.rank() >= 1 && lambda.shape() == Shape{x.size(0)}, "mixup: lambda is ", lambda.shape(), ", input ",
        x.shape());
  check_same_device("mixup", x.device(), partner.device());
  check_same_device("mixup", x.device(), lambda.device());
  // lambda [N] as [N, 1, ..., 1], which broadcasts over all axes of x but the first.
  Shape column = x.shape();
  for (int axis = 1; axis < x.rank(); ++axis) column = column.with(axis, 1);
  const Tensor weight = reshape(lambda.to(x.dtype()), column);
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch("mix", x.device(),
           [&, &x = x, &partner = partner](auto device) { kernels::mix(device, x, partner, weight, out); });
  record(out, "mix", {x, partner, weight},
         [x = Saved(x), partner = Saved(partner), weight = Saved(weight)](const Tensor& grad, Gradients& to) {
           if (to.needs(0)) to.add(0, grad * *weight);
           if (to.needs(1)) to.add(1, grad * (1.0 - *weight));
           if (to.needs(2)) to.add(2, sum_to(grad * (*x - *partner), weight->shape()));
         });
  return out;
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

namespace mixgrad::kernels {

void mix(Cpu, const Tensor& x, const Tensor& partner, const Tensor& lambda, const Tensor& out) {
  with_floating("mixup", x.dtype(), [&]<class T>(T) {
    constexpr std::int64_t grain = std::int64_t{1} << 15;  // elements per range
    const std::int64_t row = x.shape().product(1, x.rank());
    const T *a = x.data<T>(), *b = partner.data<T>(), *weight = lambda.data<T>();
    T* to = out.mutable_data<T>();
    parallel_for(x.size(0), rows_per_range(row, grain), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T lambda = weight[n];
        for (std::int64_t i = n * row; i < (n + 1) * row; ++i) to[i] = augment::mix(a[i], b[i], lambda);
      }
    });
  });
}

}  // namespace mixgrad::kernels
