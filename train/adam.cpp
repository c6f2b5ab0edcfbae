#include "train/adam.h"

#include "core/parallel.h"

namespace mixgrad::train {
namespace {

class Adam : public UpdateRule {
 public:
  Adam(const AdamOptions& options, bool decoupled)
      : UpdateRule({options.lr, options.beta1}, options.weight_decay), options_(options), decoupled_(decoupled) {
    for (const double beta : {options.beta1, options.beta2})
      check(beta >= 0 && beta < 1, "adam: beta ", beta, " must be at least 0 and below 1");
    check(options.eps > 0, "adam: eps ", options.eps, " must be above 0");
    check(options.weight_decay >= 0, "adam: weight decay ", options.weight_decay, " must not be negative");
  }

  std::string description() const override {
    return text_of(decoupled_ ? "adamw" : "adam", ": lr ", options_.lr, ", beta1 ", options_.beta1, ", beta2 ",
                   options_.beta2, ", eps ", options_.eps);
  }
  std::vector<std::string> state() const override { return {"mean", "square"}; }
  std::vector<double> coefficients(std::int64_t step, const Rates& rates, double weight_decay) const override {
    const double beta1 = rates.momentum, beta2 = options_.beta2, t = static_cast<double>(step);
    return {beta1,
            1 - beta1,
            beta2,
            1 - beta2,
            rates.lr / (1 - std::pow(beta1, t)),    // rate
            1 / std::sqrt(1 - std::pow(beta2, t)),  // correction
            options_.eps,
            decoupled_ ? 1 - rates.lr * weight_decay : 1,  // shrink
            decoupled_ ? 0 : weight_decay};                // l2
  }
  void update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients,
              std::span<const Tensor> state) const override {
    dispatch("adam_step", values.device(),
             [&](auto device) { kernels::adam_step(device, coefficients, gradients, values, state[0], state[1]); });
  }

 private:
  AdamOptions options_;
  bool decoupled_;
};

}  // namespace

Rule adamw(const AdamOptions& options) { return std::make_shared<Adam>(options, true); }
Rule adam(const AdamOptions& options) { return std::make_shared<Adam>(options, false); }

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
