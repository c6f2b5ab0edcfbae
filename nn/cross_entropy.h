// Cross-entropy between logits and a class, or a distribution over classes.
//
//   index target:  l_n = -log softmax(logits_n)[target_n]
//   dense target:  l_n = -sum_c target_nc log softmax(logits_n)_c
//
// The dense form is linear in its target: the fact that mixup's loss rests on. An index target outside 0..C-1 is an
// error, unless it is the one that is to be ignored.
//
// A class can be masked by a logit of -infinity. A term whose weight is 0, by target or class weight, counts for
// nothing, in value and gradient, whatever its logit; so a masked class costs nothing until a target wants it. Label
// smoothing wants every class a little: then the loss is infinite, as in PyTorch, unless the masked class has the
// weight 0.
#pragma once

#include <optional>

#include "core/elementwise.h"
#include "nn/loss.h"

namespace mixgrad::nn {

struct CrossEntropyOptions {
  // s in [0, 1): the target becomes (1 - s) target + s / C (Szegedy et al., "Rethinking the Inception architecture",
  // 2015).
  double label_smoothing = 0;
  Tensor class_weights = {};  // f32 [C]: class c's term is multiplied by its weight
  Reduction reduction = Reduction::mean;
  // A label that counts for nothing, smoothing included; in or outside of 0..C-1, as PyTorch's -100. Of two mixed
  // labels, the other keeps its own weight. For class indices; a dense target says the same by a row of zeros. Metrics,
  // and mixup without stack_y, know no ignored label and refuse it.
  std::optional<std::int32_t> ignore_index = {};
};

// logits [N, C] and a target of class indices i32 [N], or of weights [N, C] in the logits' dtype -> [N].
// The gradient flows to the logits, and to a dense target. Throws on other shapes, dtypes or an index out of range.
// With options, l_n = -sum_c w_c ((1 - s) target_nc + s / C) log softmax(logits_n)_c: linear in the target still.
Tensor cross_entropy_per_sample(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});

// lambda l(y) + (1 - lambda) l(partner) with class indices y and partner, i32 [N], and lambda [N] or one for all, in
// the logits' dtype; no gradient flows to lambda. One pass computes the loss and its gradient, as it does above for
// class indices.
Tensor cross_entropy_mixed(const Tensor& logits, const Tensor& y, const Tensor& partner, const Tensor& lambda,
                           const CrossEntropyOptions& options = {});

// As a loss. A mean is over all samples, with class weights and ignored labels too: dividing by the sum of the weights
// that count, as PyTorch does for index targets, would make the loss of a mixed target another than the mixed loss.
// Throws unless 0 <= label_smoothing < 1 and class weights are finite and not negative.
Loss cross_entropy_with(const CrossEntropyOptions& options);
inline const Loss cross_entropy = cross_entropy_with({});

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// loss[n] = sum over c of q_c (log(sum over j of exp(z_j)) - z_c) for row z of logits [N, C], with
// q_c = w_c ((1 - s) (lambda_n [c = y_n] + (1 - lambda_n) [c = partner_n]) + s / C), and its gradient
// dlogits[n, c] = softmax(z)_c (sum over j of q_j) - q_c. Terms with q = 0 are skipped, whatever z is.
struct CrossEntropyTarget {
  const Tensor &y, &partner;    // i32 [N]
  const Tensor& lambda;         // [N] or []; undefined: 1
  const Tensor& class_weights;  // [C]; undefined: 1 each
  double label_smoothing;
  std::optional<std::int32_t> ignored = {};
};
// q of one row, and the formulas for its class c, with z less the row's largest and log_total = log(sum of exp(z)).
template <class T>
struct CrossEntropyWeights {
  std::int32_t y, partner;
  T own, others;           // their weights: lambda and 1 - lambda, or 0 where a label is ignored
  T kept, spread;          // 1 - s, and s / C times the weights' sum
  const T* class_weights;  // or null

  MIXGRAD_HOST_DEVICE T label(auto c) const { return (c == y ? own : T{0}) + (c == partner ? others : T{0}); }
  MIXGRAD_HOST_DEVICE T weight(auto c) const { return class_weights ? class_weights[c] : T{1}; }
  MIXGRAD_HOST_DEVICE T operator()(auto c) const { return weight(c) * (kept * label(c) + spread); }
  template <class V>
  MIXGRAD_HOST_DEVICE static V term(V q, V z, T log_total) {
    return q * (log_total - z);
  }
  template <class V>
  MIXGRAD_HOST_DEVICE static V gradient(V q, V z, T log_total, T sum_q) {
    return functions::Math<V>::exp(z - log_total) * sum_q - q;
  }
};
// A target's elements on one device.
template <class T>
struct CrossEntropyRows {
  CrossEntropyRows(const CrossEntropyTarget& t, std::int64_t classes, Device where)
      : y(t.y.data<std::int32_t>(where)),
        partner(t.partner.data<std::int32_t>(where)),
        lambda(t.lambda.defined() ? t.lambda.data<T>(where) : nullptr),
        class_weights(t.class_weights.defined() ? t.class_weights.data<T>(where) : nullptr),
        lambda_step(lambda && t.lambda.rank() ? 1 : 0),
        kept(static_cast<T>(1 - t.label_smoothing)),
        spread(static_cast<T>(t.label_smoothing / static_cast<double>(classes))),
        ignored(t.ignored.value_or(0)),
        ignores(t.ignored.has_value()) {}
  MIXGRAD_HOST_DEVICE CrossEntropyWeights<T> operator[](std::int64_t n) const {
    const T weight = lambda ? lambda[n * lambda_step] : T{1};
    if (!ignores) return {y[n], partner[n], weight, 1 - weight, kept, spread, class_weights};
    const bool skips_own = y[n] == ignored, skips_others = partner[n] == ignored;
    const T own = skips_own ? T{0} : weight, others = skips_others ? T{0} : 1 - weight;
    // Class 0 stands in for an ignored label, with weight 0.
    return {skips_own ? 0 : y[n], skips_others ? 0 : partner[n], own, others, kept, spread * (own + others),
            class_weights};
  }

  const std::int32_t *y, *partner;
  const T *lambda, *class_weights;  // or null
  std::int64_t lambda_step;         // 0: one lambda for all rows
  T kept, spread;
  std::int32_t ignored;
  bool ignores;
};
MIXGRAD_KERNEL(cross_entropy, const Tensor& logits, const CrossEntropyTarget& target, Out loss,
               Out dlogits);  // undefined: not computed
}  // namespace mixgrad::kernels
