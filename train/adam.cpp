#include "train/adam.h"

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

std::vector<double> Adam::coefficients(std::int64_t step, double lr, double weight_decay) const {
  const double beta1 = momentum, beta2 = options_.beta2, t = static_cast<double>(step);
  const bool decoupled = decay_ == WeightDecay::decoupled;
  return {beta1,
          1 - beta1,
          beta2,
          1 - beta2,
          lr / (1 - std::pow(beta1, t)),          // rate
          1 / std::sqrt(1 - std::pow(beta2, t)),  // correction
          options_.eps,
          decoupled ? 1 - lr * weight_decay : 1,  // shrink
          decoupled ? 0 : weight_decay};          // l2
}

void Adam::update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients, std::int64_t first) {
  const Tensor mean = mean_.raw_view(values.shape(), first), square = square_.raw_view(values.shape(), first);
  dispatch("adam_step", values.device(),
           [&](auto device) { kernels::adam_step(device, coefficients, gradients, values, mean, square); });
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

void adam_step(Cpu, const Tensor& coefficients, const Tensor& gradients, const Tensor& values, const Tensor& mean,
               const Tensor& square) {
  with_floating("adam", values.dtype(), [&]<class T>(T) {
    const AdamStep<T> update(coefficients.data<T>());
    const T* g = gradients.data<T>();
    T* p = values.mutable_data<T>();
    T* m = mean.mutable_data<T>();
    T* v = square.mutable_data<T>();
    parallel_for(values.numel(), std::int64_t{1} << 15, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) update(g[i], p[i], m[i], v[i]);
    });
  });
}

}  // namespace mixgrad::kernels
