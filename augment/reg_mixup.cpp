#include "augment/reg_mixup.h"

#include <cmath>

#include "core/check.h"
#include "core/layout.h"
#include "core/pointwise.h"
#include "core/view.h"

namespace mixgrad::augment {

std::pair<Tensor, MixedTarget> behind_clean(const Tensor& x, const Tensor& mixed, const MixedTarget& target) {
  const auto& [y, partner, lambda] = target;
  check(x.shape() == mixed.shape() && lambda.shape() == Shape{x.size(0)} && y.size(0) == x.size(0) &&
            partner.size(0) == x.size(0),
        "RegMixup: ", x.shape(), " clean samples with ", mixed.shape(), " mixed ones, labels ", y.shape(), " and ",
        partner.shape(), ", lambda ", lambda.shape());
  return {concat({x, mixed}, 0),
          {concat({y, y}, 0), concat({y, partner}, 0),
           concat({Tensor::ones(lambda.shape(), lambda.options()), lambda}, 0)}};
}

RegMixUpLoss::RegMixUpLoss(nn::Loss loss, double eta) : loss_(std::move(loss)), eta_(eta) {
  check(std::isfinite(eta) && eta >= 0, "RegMixup: eta must be finite and not negative, got ", eta);
}

Tensor RegMixUpLoss::operator()(const Tensor& output, const Target& target) const {
  if (std::holds_alternative<Tensor>(target)) return loss_(output, target);
  const Tensor each = loss_.each_sample(output, std::get<MixedTarget>(target));
  check(each.numel() % 2 == 0, "RegMixup: ", each.numel(), " samples are not as many clean as mixed ones");
  const std::int64_t half = each.numel() / 2;
  const nn::Reduction reduction = loss_.loss().reduction;
  return nn::reduce(slice(each, 0, half), reduction) + eta_ * nn::reduce(slice(each, half, 2 * half), reduction);
}

}  // namespace mixgrad::augment
