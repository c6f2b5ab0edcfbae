// Losses as values: a name, the loss of each sample, and how a batch of them becomes one number; and those that compare
// output and target number by number. Cross-entropy is in nn/cross_entropy.h.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <utility>

#include "core/tensor.h"

namespace mixgrad::nn {

enum class Reduction { mean, sum, none };

// [N] -> a scalar, or [N] as it is for none.
Tensor reduce(const Tensor& per_sample, Reduction reduction);

// The loss of each sample: any function (output, target) -> [N], perhaps with another that computes
//
//   lambda l(output, y) + (1 - lambda) l(output, partner)
//
// in one pass, for class indices y and partner [N] and lambda [N] or one for all. Both are one value, so that a loss
// that is given another function does not keep the old one's pass.
struct PerSample {
  using Function = std::function<Tensor(const Tensor& output, const Tensor& target)>;
  using Mixed =
      std::function<Tensor(const Tensor& output, const Tensor& y, const Tensor& partner, const Tensor& lambda)>;

  PerSample() = default;
  template <std::convertible_to<Function> F>
  PerSample(F function) : function(std::move(function)) {}
  PerSample(Function function, Mixed mixed) : function(std::move(function)), mixed(std::move(mixed)) {}

  Tensor operator()(const Tensor& output, const Tensor& target) const { return function(output, target); }

  Function function;
  Mixed mixed;  // empty where there is none
};

// loss(output, target) is per_sample reduced. Weighted losses, such as mixup's, need the per-sample form: they weigh
// first and reduce last.
struct Loss {
  std::string name;  // with its options: a checkpoint is resumed with a loss of the same name only
  PerSample per_sample;
  Reduction reduction = Reduction::mean;

  Tensor operator()(const Tensor& output, const Tensor& target) const {
    return reduce(each_sample(output, target), reduction);
  }
  // per_sample, and a check that it gave one number for each of the N rows of output.
  Tensor each_sample(const Tensor& output, const Tensor& target) const;
};

// For regression and for several labels at once. Target and output have the same shape [N, ...] and dtype; the loss of
// a sample is the mean over its elements, so that a mean over samples is the mean over all. They throw on other shapes.
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
