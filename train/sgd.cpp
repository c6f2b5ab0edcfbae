#include "train/sgd.h"

#include "core/parallel.h"

namespace mixgrad::train {
namespace {

class Sgd : public UpdateRule {
 public:
  explicit Sgd(const SgdOptions& options)
      : UpdateRule({options.lr, options.momentum}, options.weight_decay), nesterov_(options.nesterov) {
    check(options.momentum >= 0 && options.weight_decay >= 0, "sgd: momentum ", options.momentum, " and weight decay ",
          options.weight_decay, " must not be negative");
    check(!options.nesterov || options.momentum > 0, "sgd: Nesterov's momentum needs a momentum above 0");
  }

  std::string description() const override {
    return text_of("sgd: lr ", rates.lr, ", momentum ", rates.momentum, ", nesterov ", nesterov_);
  }
  std::vector<std::string> state() const override { return {"velocity"}; }
  std::vector<double> coefficients(std::int64_t, const Rates& rates, double weight_decay) const override {
    return {rates.lr, rates.momentum, weight_decay, nesterov_ ? 1.0 : 0.0};
  }
  void update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients,
              std::span<const Tensor> state) const override {
    dispatch("sgd_step", values.device(),
             [&](auto device) { kernels::sgd_step(device, coefficients, gradients, values, state[0]); });
  }

 private:
  bool nesterov_;
};

}  // namespace

Rule sgd(const SgdOptions& options) { return std::make_shared<Sgd>(options); }

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
