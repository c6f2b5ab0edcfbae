// Losses that compare output and target number by number: for regression and for several labels at once. Target and
// output have the same shape [N, ...] and dtype; the loss of a sample is the mean over its elements, so that a mean
// over samples is the mean over all. They throw on other shapes.
#pragma once

#include "nn/loss.h"

namespace mixgrad::nn {

Tensor mse_per_sample(const Tensor& output, const Tensor& target);  // (output - target)^2
Tensor l1_per_sample(const Tensor& output, const Tensor& target);   // |output - target|
// Binary cross-entropy of sigmoid(logits): -t log p - (1 - t) log(1 - p), for targets in [0, 1]. No terms cancel, so
// it keeps its digits where the logit is sure and right, be it infinite. Linear in the target, and so at home with
// mixup.
Tensor bce_with_logits_per_sample(const Tensor& logits, const Tensor& target);

inline const Loss mse{"mse", mse_per_sample};
inline const Loss l1{"l1", l1_per_sample};
inline const Loss bce_with_logits{"bce_with_logits", bce_with_logits_per_sample};

}  // namespace mixgrad::nn
