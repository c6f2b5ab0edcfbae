// Losses as values: a name, the loss of each sample, and how a batch of them becomes one number; and those that compare
// output and target number by number. Cross-entropy is in nn/cross_entropy.h.
#pragma once

#include <concepts>
#include <functional>
#include <string>
#include <utility>
#include <variant>

#include "core/elementwise.h"
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

namespace mixgrad::kernels {
// Losses l(x, t) of an element of an output and of a target, and their derivatives in x and in t.
struct SquaredError {
  MIXGRAD_HOST_DEVICE auto operator()(auto x, auto t) const { return (x - t) * (x - t); }
  MIXGRAD_HOST_DEVICE auto in_output(auto x, auto t) const { return 2.0f * (x - t); }
  MIXGRAD_HOST_DEVICE auto in_target(auto x, auto t) const { return 2.0f * (t - x); }
};
struct AbsoluteError {
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x, T t) const {
    return functions::Math<T>::abs(x - t);
  }
  template <class T>
  MIXGRAD_HOST_DEVICE T in_output(T x, T t) const {
    return x > t ? T{} + 1.0f : x < t ? T{} - 1.0f : (x - t) * 0.0f;  // nan stays
  }
  MIXGRAD_HOST_DEVICE auto in_target(auto x, auto t) const { return in_output(t, x); }
};
// t softplus(-x) + (1 - t) softplus(x), where a term whose weight, t or 1 - t, is 0 is skipped: it may be infinite.
// softplus(x) - t x would cancel where t is near 1: for x = 20, to 0 in f32.
struct BinaryCrossEntropy {
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x, T t) const {
    using Math = functions::Math<T>;
    const T rest = 1.0f - t, same = Math::log1p(Math::exp(-Math::abs(x)));
    const T of_one = (x < 0.0f ? -x : T{}) + same, of_zero = (x > 0.0f ? x : T{}) + same;
    return (t == 0.0f ? T{} : t * of_one) + (rest == 0.0f ? T{} : rest * of_zero);
  }
  // (1 - t) sigmoid(x) - t sigmoid(-x)
  template <class T>
  MIXGRAD_HOST_DEVICE T in_output(T x, T t) const {
    using Math = functions::Math<T>;
    const T e = Math::exp(-Math::abs(x)), above = 1.0f / (1.0f + e), below = e * above;  // sigmoid of |x| and -|x|
    return x > 0.0f ? (1.0f - t) * above - t * below : (1.0f - t) * below - t * above;
  }
  // softplus(-x) - softplus(x), but for an infinite term that is skipped
  template <class T>
  MIXGRAD_HOST_DEVICE T in_target(T x, T t) const {
    const T weight = x < 0.0f ? t : 1.0f - t, skipped = weight == 0.0f ? T{} : -x;
    return functions::Math<T>::abs(x) == INFINITY ? skipped : -x;
  }
};
template <bool in_target>
MIXGRAD_HOST_DEVICE auto derivative(const auto& l, auto x, auto t) {
  if constexpr (in_target) return l.in_target(x, t);
  else return l.in_output(x, t);
}
using ElementLoss = std::variant<SquaredError, AbsoluteError, BinaryCrossEntropy>;

// loss[n] = the mean over i of l(x[n, i], t[n, i]), and its gradient in x, or in t.
MIXGRAD_KERNEL(element_loss, const ElementLoss& l, const Tensor& x, const Tensor& t, Out loss);
MIXGRAD_KERNEL(element_loss_backward, const ElementLoss& l, bool in_target, const Tensor& x, const Tensor& t,
               const Tensor& dloss, Out gradient);
}  // namespace mixgrad::kernels
