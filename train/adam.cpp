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
    const AdamStep<T> update(options, decay, step);
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
