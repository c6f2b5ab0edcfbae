// Cross-entropy between logits and a class, or a distribution over classes.
//
//   index target:  l_n = -log softmax(logits_n)[target_n]
//   dense target:  l_n = -sum_c target_nc log softmax(logits_n)_c
//
// The dense form is linear in its target: the fact that mixup's loss rests on. No label smoothing, no class weights,
// no ignored index: a target outside 0..C-1 is an error.
#pragma once

#include "nn/loss.h"

namespace mixgrad::nn {

// logits [N, C] and a target of class indices i32 [N], or of weights [N, C] in the logits' dtype -> [N].
// The gradient flows to the logits, and to a dense target. Throws on other shapes, dtypes or an index out of range.
Tensor cross_entropy_per_sample(const Tensor& logits, const Tensor& target);

inline const Loss cross_entropy{"cross_entropy", cross_entropy_per_sample};

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// out[n] = -log_probability[n, target[n]], and its gradient (overwritten)
MIXGRAD_KERNEL(negative_log_likelihood, const Tensor& log_probability, const Tensor& target, const Tensor& out);
MIXGRAD_KERNEL(negative_log_likelihood_backward, const Tensor& target, const Tensor& dy, const Tensor& dx);
}  // namespace mixgrad::kernels
