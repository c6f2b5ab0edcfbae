// Mixup (Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond empirical risk minimization", 2017): train on mixtures
// of two samples and of their targets.
//
//   x~_i = lambda_i x_i + (1 - lambda_i) x_j      j = permutation[i]
//   y~_i = lambda_i y_i + (1 - lambda_i) y_j
//
// A batch is mixed with a shuffled copy of itself, so one loader is enough; lambda is drawn for each sample. For class
// indices, y~ need not be built: a loss that is linear in its target, such as cross-entropy, gives the same result from
// both labels (MixUpLoss in augment/mixup_loss.h). So labels stay indices and the target carries [y, y[permutation],
// lambda].
//
//   MixPlan     plan = draw_mix_plan(batch.size(), {.alpha = 0.4}, random);
//   Tensor      x    = mix(batch.x, plan);
//   MixedTarget y    = mixed_target(batch.y, plan);
//   Tensor      loss = MixUpLoss(nn::cross_entropy)(model(x), y);
#pragma once

#include <concepts>
#include <variant>

#include "augment/mix_plan.h"
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

// Two samples' input, not combined (stack_x): for a model that mixes by itself.
struct MixedInput {
  Tensor x, partner;  // [N, ...], the same shape
  Tensor lambda;      // [N]
};

// Two targets for each sample, and the weight of the first (stack_y).
struct MixedTarget {
  Tensor y, partner;  // [N] class indices, or [N, ...]
  Tensor lambda;      // [N]
};

// The type says whether an input or target is mixed; nothing is guessed from a shape.
using Input = std::variant<Tensor, MixedInput>;
using Target = std::variant<Tensor, MixedTarget>;

// lambda_i x_i + (1 - lambda_i) x_j in a new tensor, for x [N, ...] of any rank, f32 or f64; differentiable.
// Throws unless the plan is for N samples, and on integers: class indices can't be averaged (see one_hot).
Tensor mix(const Tensor& x, const MixPlan& plan);
// The same with j taken from a second batch of the same shape: the paper's two loaders.
Tensor mix(const Tensor& x, const Tensor& partners, const MixPlan& plan);

// The mixture of a stacked input: what a model given both sides computes first, or later on features.
Tensor mix(const MixedInput& input);

// Both sides of the mixture, to be weighted later.
MixedInput stack_input(const Tensor& x, const Tensor& partners, const MixPlan& plan);
MixedTarget mixed_target(const Tensor& y, const MixPlan& plan);
MixedTarget mixed_target(const Tensor& y, const Tensor& partners, const MixPlan& plan);

}  // namespace mixgrad::augment

namespace mixgrad::kernels {
// out = mix(x, partner, lambda) for each element of x [N, ...], with lambda [N, 1, ..., 1].
MIXGRAD_KERNEL(mix, const Tensor& x, const Tensor& partner, const Tensor& lambda, const Tensor& out);
}  // namespace mixgrad::kernels
