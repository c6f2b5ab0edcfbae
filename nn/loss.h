// Losses as values: a name, the loss of each sample, and how a batch of them becomes one number.
#pragma once

#include <functional>
#include <string>

#include "core/tensor.h"

namespace mixgrad::nn {

enum class Reduction { mean, sum, none };

// [N] -> a scalar, or [N] as it is for none.
Tensor reduce(const Tensor& per_sample, Reduction reduction);

// loss(output, target) is per_sample reduced. Weighted losses, such as mixup's, need the per-sample form: they weigh
// first and reduce last.
struct Loss {
  std::string name;  // with its options: a checkpoint is resumed with a loss of the same name only
  std::function<Tensor(const Tensor& output, const Tensor& target)> per_sample;  // -> [N]
  Reduction reduction = Reduction::mean;
  // lambda per_sample(output, y) + (1 - lambda) per_sample(output, partner) -> [N] in one pass, for class indices y and
  // partner [N] and lambda [N] or one for all. A loss without it is called twice.
  std::function<Tensor(const Tensor& output, const Tensor& y, const Tensor& partner, const Tensor& lambda)>
      mixed_indices = {};

  Tensor operator()(const Tensor& output, const Tensor& target) const {
    return reduce(each_sample(output, target), reduction);
  }
  // per_sample, and a check that it gave one number for each of the N rows of output.
  Tensor each_sample(const Tensor& output, const Tensor& target) const;
  // lambda each_sample(output, y) + (1 - lambda) each_sample(output, partner), for targets of any kind.
  Tensor each_mixed_sample(const Tensor& output, const Tensor& y, const Tensor& partner, const Tensor& lambda) const;
};

}  // namespace mixgrad::nn
