#include "train/sgd.h"

#include "core/parallel.h"

namespace mixgrad::train {

Sgd::Sgd(const ParameterGroups& groups, const SgdOptions& options)
    : Optimizer(groups, options.lr, options.momentum, options.weight_decay),
      options_(options),
      velocity_(zeros_like_parameters()) {
  check(options.momentum >= 0 && options.weight_decay >= 0, "sgd: momentum ", options.momentum, " and weight decay ",
        options.weight_decay, " must not be negative");
  check(!options.nesterov || options.momentum > 0, "sgd: Nesterov's momentum needs a momentum above 0");
}

void Sgd::update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients, std::int64_t first) {
  const Tensor velocity = velocity_.raw_view(values.shape(), first);
  dispatch("sgd_step", values.device(),
           [&](auto device) { kernels::sgd_step(device, coefficients, gradients, values, velocity); });
}

std::string Sgd::name_and_options() const {
  return text_of("sgd: lr ", options_.lr, ", momentum ", options_.momentum, ", nesterov ", options_.nesterov);
}

OptimizerFactory sgd(const SgdOptions& options) {
  return [options](const ParameterGroups& groups) { return std::make_unique<Sgd>(groups, options); };
}

}  // namespace mixgrad::train

namespace mixgrad::kernels {

void sgd_step(Cpu, const Tensor& coefficients, const Tensor& gradients, const Tensor& values, const Tensor& velocity) {
  with_floating("sgd", values.dtype(), [&]<class T>(T) {
    const SgdStep<T> update(coefficients.data<T>());
    const T* g = gradients.data<T>();
    T* p = values.mutable_data<T>();
    T* v = velocity.mutable_data<T>();
    parallel_for(values.numel(), std::int64_t{1} << 15, [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) update(g[i], p[i], v[i]);
    });
  });
}

}  // namespace mixgrad::kernels
