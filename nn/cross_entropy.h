// Cross-entropy between logits and a class, or a distribution over classes.
//
//   index target:  l_n = -log softmax(logits_n)[target_n]
//   dense target:  l_n = -sum_c target_nc log softmax(logits_n)_c
//
// The dense form is linear in its target: the fact that mixup's loss rests on. An index target outside 0..C-1 is an
// error; none is ignored.
#pragma once

#include "nn/loss.h"

namespace mixgrad::nn {

struct CrossEntropyOptions {
  // s in [0, 1): the target becomes (1 - s) target + s / C (Szegedy et al., "Rethinking the Inception architecture",
  // 2015).
  double label_smoothing = 0;
  Tensor class_weights = {};  // f32 [C]: class c's term is multiplied by its weight
  Reduction reduction = Reduction::mean;
};

// logits [N, C] and a target of class indices i32 [N], or of weights [N, C] in the logits' dtype -> [N].
// The gradient flows to the logits, and to a dense target. Throws on other shapes, dtypes or an index out of range.
// With options, l_n = -sum_c w_c ((1 - s) target_nc + s / C) log softmax(logits_n)_c: linear in the target still.
Tensor cross_entropy_per_sample(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});

inline const Loss cross_entropy{"cross_entropy", [](const Tensor& logits, const Tensor& target) {
                                  return cross_entropy_per_sample(logits, target);
                                }};

// The same with options. A mean is over samples, with class weights too: dividing by the sum of their weights, as
// PyTorch does for index targets, would make the loss of a mixed target another than the mixed loss. Throws unless 0 <=
// label_smoothing < 1 and class weights are finite and not negative.
Loss cross_entropy_with(const CrossEntropyOptions& options);

}  // namespace mixgrad::nn
