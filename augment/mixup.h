// Mixup (Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond empirical risk minimization", 2017): train on mixtures
// of two samples and of their targets.
//
//   x~_i = lambda_i x_i + (1 - lambda_i) x_j      j = permutation[i]
//   y~_i = lambda_i y_i + (1 - lambda_i) y_j
//
// A batch is mixed with a shuffled copy of itself, so one loader is enough; lambda is drawn for each sample.
//
//   MixPlan     plan = draw_mix_plan(batch.size(), {.alpha = 0.4}, random);
//   Tensor      x    = mix(batch.x, plan);
//   MixedTarget y    = mixed_target(batch.y, plan);
//   Tensor      loss = MixUpLoss(nn::cross_entropy)(model(x), y);
#pragma once

#include <concepts>
#include <span>
#include <vector>

#include "augment/pair_mix.h"
#include "core/device.h"
#include "core/host_device.h"

namespace mixgrad::augment {

// The formula, for one element of each side: lambda a + (1 - lambda) b, computed as a step from the side with the
// larger weight towards the other. So a sample mixed with itself is unchanged, bit for bit, and lambda = 1 and 0 give a
// and b exactly, even if the other is nan. Finite values stay finite: the step is taken between halves.
template <std::floating_point T>
MIXGRAD_HOST_DEVICE constexpr T mix(T a, T b, T lambda) {
  const bool mostly_a = lambda >= T{0.5};
  const T near = mostly_a ? a : b, far = mostly_a ? b : a, step = 2 * (mostly_a ? 1 - lambda : lambda);
  const T finite = near - step * (near / 2 - far / 2), infinite = near + step * far;
  const T mixed = finite == finite ? finite : infinite;
  return step == 0 ? near : mixed;  // both are always computed, so that loops vectorise
}

// lambda_i x_i + (1 - lambda_i) x_j in a new tensor, for x [N, ...] of any rank, f32 or f64; differentiable.
// Throws unless the plan is for N samples, and on integers: class indices can't be averaged (see one_hot).
Tensor mix(const Tensor& x, const MixPlan& plan);
// The same with j taken from a second batch of the same shape: the paper's two loaders.
Tensor mix(const Tensor& x, const Tensor& partners, const MixPlan& plan);
// Several inputs of the same samples by one plan, such as the numbers of a table and the embeddings of its categories.
std::vector<Tensor> mix(std::span<const Tensor> inputs, const MixPlan& plan);
// The mixture of a stacked input: what a model given both sides computes first, or later on features.
Tensor mix(const MixedInput& input);

// Mixup as a mix of pairs, for training (train/pair_mix_callback.h).
class MixUp : public PairMix {
 public:
  // Throws on an alpha that draw_mix_plan would refuse.
  explicit MixUp(const MixOptions& options = {});
  std::string description() const override;
  MixPlan draw(const Shape& batch, Random& random) const override;

 private:
  void combine_into(const Pairs& pairs, const MixDraw& draw) const override;
  MixOptions options_;
};

}  // namespace mixgrad::augment

namespace mixgrad::kernels {
// pairs.x = mix(own, other, lambda) for each element of a pair, with lambda [N].
MIXGRAD_KERNEL(mix, const augment::Pairs& pairs, const Tensor& lambda);

// How sample n is mixed (augment/pair_mix_kernels.h).
template <class T>
struct MixUpRows {
  static constexpr bool whole = true;
  const T* lambda;
  MIXGRAD_HOST_DEVICE auto operator()(std::int64_t n) const {
    return [lambda = lambda[n]](T a, T b, std::int64_t, std::int64_t) { return augment::mix(a, b, lambda); };
  }
};
}  // namespace mixgrad::kernels
