// MixUpLoss: any loss, extended to mixed targets.
//
//   l_i = lambda_i loss(output_i, y_i) + (1 - lambda_i) loss(output_i, y_j)      then reduced: mean, sum or none
//
// where terms with weight 0 are skipped, even if the loss is infinite.
//
// For a loss that is linear in its target, as cross-entropy is, this equals loss(output, y~) with the mixed target y~,
// in value and in gradient. (For one that is not, such as a squared error, it is the mixture of losses, not the loss of
// the mixture.) On a target that is not mixed, as in validation, it is the plain loss.
#pragma once

#include "augment/mixup.h"
#include "nn/loss.h"

namespace mixgrad::augment {

enum class LossWeight {
  lambda,      // each sample's own, as above: what the document describes
  batch_mean,  // the batch's mean lambda for every sample, while images keep their own. What the document's table was
               // made with: its loss was reduced to a mean before it was weighted, mean(lambda) mean(l1) +
               // (1 - mean(lambda)) mean(l2). fastai's code was fixed a month later (commit fad64e58), the table
               // never was.
};

class MixUpLoss {
 public:
  // The reduction is that of `loss`.
  explicit MixUpLoss(nn::Loss loss, LossWeight weight = LossWeight::lambda);

  Tensor operator()(const Tensor& output, const Target& target) const;
  Tensor each_sample(const Tensor& output, const MixedTarget& target) const;  // [N], before it is reduced
  const nn::Loss& loss() const { return loss_; }

 private:
  nn::Loss loss_;
  LossWeight weight_;
};

}  // namespace mixgrad::augment
