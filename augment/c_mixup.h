// C-Mixup (Yao, Wang, Zhang, Zou and Finn, "C-Mixup: Improving generalization in regression", 2022): partners are drawn
// from all samples, those with a near target more often, so that a mixture's target is likely to be right.
//
//   P(j | i) = exp(-|y_i - y_j|^2 / (2 h^2)) / sum over k of exp(-|y_i - y_k|^2 / (2 h^2))       h: the bandwidth
//
// A sample may be its own partner. All else is mixup, whose targets are mixed as numbers; the paper's alpha is 0.5
// to 2.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace mixgrad::augment {

class NearTargets {
 public:
  // targets, floating [N] or [N, ...], of all samples. Throws where there are none or one is not finite, and unless the
  // bandwidth is finite and above 0.
  NearTargets(const Tensor& targets, double bandwidth);
  // A partner for each of these samples. Throws on an index outside 0..N-1.
  std::vector<std::int32_t> draw(std::span<const std::int32_t> samples, Random& random) const;

 private:
  std::vector<double> targets_;  // in bandwidths, [N, width]
  std::int64_t size_, width_;
};

}  // namespace mixgrad::augment
