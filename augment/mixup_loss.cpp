#include "augment/mixup_loss.h"

#include "core/check.h"
#include "core/pointwise.h"
#include "core/reduce.h"

namespace mixgrad::augment {

MixUpLoss::MixUpLoss(nn::Loss loss, LossWeight weight) : loss_(std::move(loss)), weight_(weight) {}

Tensor MixUpLoss::operator()(const Tensor& output, const Target& target) const {
  if (const Tensor* plain = std::get_if<Tensor>(&target)) return loss_(output, *plain);

  const MixedTarget& mixed = std::get<MixedTarget>(target);
  check(mixed.lambda.shape() == Shape{output.size(0)}, "MixUpLoss: lambda is ", mixed.lambda.shape(), ", output ",
        output.shape(), " needs one lambda for each sample");
  const Tensor own = mixed.lambda.to(output.dtype());
  const Tensor lambda = weight_ == LossWeight::batch_mean ? mean(own) : own;
  const bool indices = mixed.y.dtype() == DType::i32 && mixed.partner.dtype() == DType::i32;
  // In one pass, where the loss has one.
  const Tensor each = loss_.per_sample.mixed && indices && !lambda.requires_grad()
                          ? loss_.per_sample.mixed(output, mixed.y, mixed.partner, lambda)
                          : weighted(lambda, loss_.each_sample(output, mixed.y)) +
                                weighted(1.0 - lambda, loss_.each_sample(output, mixed.partner));
  return nn::reduce(each, loss_.reduction);
}

}  // namespace mixgrad::augment
