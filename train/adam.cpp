#include "train/adam.h"

#include <cmath>

#include "core/parallel.h"

namespace mixgrad::train {

Adam::Adam(const ParameterGroups& groups, const AdamOptions& options, WeightDecay decay)
    : Optimizer(groups, options.lr, options.beta1, options.weight_decay),
      options_(options),
      decay_(decay),
      mean_(zeros_like_parameters()),
      square_(zeros_like_parameters()) {
  for (const double beta : {options.beta1, options.beta2})
    check(beta >= 0 && beta < 1, "adam: beta ", beta, " must be at least 0 and below 1");
  check(options.eps > 0, "adam: eps ", options.eps, " must be above 0");
  check(options.weight_decay >= 0, "adam: weight decay ", options.weight_decay, " must not be negative");
}

void Adam::update(const Tensor& values, const Tensor& gradients, std::int64_t first, double lr, double weight_decay) {
  AdamOptions now = options_;
  now.lr = lr;
  now.beta1 = momentum;
  now.weight_decay = weight_decay;
  const Tensor mean = mean_.raw_view(values.shape(), first), square = square_.raw_view(values.shape(), first);
  dispatch("adam_step", values.device(),
           [&](auto device) { kernels::adam_step(device, now, decay_, steps, gradients, values, mean, square); });
}

std::string Adam::name_and_options() const {
  return text_of(decay_ == WeightDecay::decoupled ? "adamw" : "adam", ": lr ", options_.lr, ", beta1 ", options_.beta1,
                 ", beta2 ", options_.beta2, ", eps ", options_.eps);
}

namespace {
OptimizerFactory factory(const AdamOptions& options, WeightDecay decay) {
  return [=](const ParameterGroups& groups) { return std::make_unique<Adam>(groups, options, decay); };
}
}  // namespace

OptimizerFactory adamw(AdamOptions options) { return factory(options, WeightDecay::decoupled); }
OptimizerFactory adam(AdamOptions options) { return factory(options, WeightDecay::l2); }

}  // namespace mixgrad::train

namespace mixgrad::kernels {

void adam_step(Cpu, const train::AdamOptions& options, train::WeightDecay decay, std::int64_t step,
               const Tensor& gradients, const Tensor& values, const Tensor& mean, const Tensor& square) {
  with_floating("adam", values.dtype(), [&]<class T>(T) {
    const double steps = static_cast<double>(step);
    const T beta1 = static_cast<T>(options.beta1), rest1 = static_cast<T>(1 - options.beta1);
    const T beta2 = static_cast<T>(options.beta2), rest2 = static_cast<T>(1 - options.beta2);
    const T rate = static_cast<T>(options.lr / (1 - std::pow(options.beta1, steps)));
    const T correction = static_cast<T>(1 / std::sqrt(1 - std::pow(options.beta2, steps)));
    const T eps = static_cast<T>(options.eps);
    const bool decoupled = decay == train::WeightDecay::decoupled;
    const T shrink = static_cast<T>(decoupled ? 1 - options.lr * options.weight_decay : 1);
    const T l2 = static_cast<T>(decoupled ? 0 : options.weight_decay);
    const T* g = gradients.data<T>();
    T* p = values.mutable_data<T>();
    T* m = mean.mutable_data<T>();
    T* v = square.mutable_data<T>();
    parallel_for(values.numel(), std::int64_t{1} << 15, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T gradient = g[i] + l2 * p[i];
        m[i] = beta1 * m[i] + rest1 * gradient;
        v[i] = beta2 * v[i] + rest2 * gradient * gradient;
        p[i] = p[i] * shrink - rate * m[i] / (std::sqrt(v[i]) * correction + eps);
      }
    });
  });
}

}  // namespace mixgrad::kernels
