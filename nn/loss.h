// Losses as values: a name, the loss of each sample, and how a batch of them becomes one number.
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
class PerSample {
 public:
  using Function = std::function<Tensor(const Tensor& output, const Tensor& target)>;
  using Mixed =
      std::function<Tensor(const Tensor& output, const Tensor& y, const Tensor& partner, const Tensor& lambda)>;

  PerSample() = default;
  template <std::convertible_to<Function> F>
  PerSample(F function) : function_(std::move(function)) {}
  PerSample(Function function, Mixed mixed) : function_(std::move(function)), mixed_(std::move(mixed)) {}

  Tensor operator()(const Tensor& output, const Tensor& target) const { return function_(output, target); }
  const Mixed& mixed() const { return mixed_; }  // empty where there is none

 private:
  Function function_;
  Mixed mixed_;
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

}  // namespace mixgrad::nn
