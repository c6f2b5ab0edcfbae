// RegMixup (Pinto, Yang, Lim, Torr and Dokania, "RegMixup: Mixup as a regularizer can surprisingly improve accuracy and
// out distribution robustness", 2022): the clean batch is trained on as well, and mixup is a term beside it.
//
//   l = mean loss(f(x_i), y_i) + eta mean loss(f(x~_i), y~_i)
//
// Both go through the model as one batch of 2N, the clean samples first, so that batch norm sees both. The paper's
// alpha is 10 or 20: images that lie between.
#pragma once

#include <string>

#include "augment/mixup_loss.h"

namespace mixgrad::augment {

// x and its mixture one behind the other, [2N, ...], and the targets: a clean sample has lambda 1. Throws where they do
// not fit each other.
std::pair<Tensor, MixedTarget> behind_clean(const Tensor& x, const Tensor& mixed, const MixedTarget& target);

// The loss above for such outputs and targets; on a target that is not mixed, as in validation, the plain loss.
class RegMixUpLoss {
 public:
  // Throws unless eta is finite and not negative.
  explicit RegMixUpLoss(nn::Loss loss, double eta = 1);
  Tensor operator()(const Tensor& output, const Target& target) const;

 private:
  MixUpLoss loss_;
  double eta_;
};

}  // namespace mixgrad::augment
