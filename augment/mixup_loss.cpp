#include "augment/mixup_loss.h"

#include "core/check.h"
#include "core/pointwise.h"
#include "core/reduce.h"

namespace mixgrad::augment {

MixUpLoss::MixUpLoss(nn::Loss loss, LossWeight weight) : loss_(std::move(loss)), weight_(weight) {}

Tensor MixUpLoss::operator()(const Tensor& output, const Target& target) const {
  if (const Tensor* plain = std::get_if<Tensor>(&target)) return loss_(output, *plain);
  return nn::reduce(each_sample(output, std::get<MixedTarget>(target)), loss_.reduction);
}

Tensor MixUpLoss::each_sample(const Tensor& output, const MixedTarget& mixed) const {
  check(mixed.lambda.shape() == Shape{output.size(0)}, "MixUpLoss: lambda is ", mixed.lambda.shape(), ", output ",
        output.shape(), " needs one lambda for each sample");
  const Tensor own = mixed.lambda.to(output.dtype());
  const Tensor lambda = weight_ == LossWeight::batch_mean ? mean(own) : own;
  const bool indices = mixed.y.dtype() == DType::i32 && mixed.partner.dtype() == DType::i32;
  // In one pass, where the loss has one.
  if (loss_.per_sample.mixed && indices && !lambda.requires_grad())
    return loss_.per_sample.mixed(output, mixed.y, mixed.partner, lambda);
  return weighted(lambda, loss_.each_sample(output, mixed.y)) +
         weighted(1.0 - lambda, loss_.each_sample(output, mixed.partner));
}

}  // namespace mixgrad::augment
