// Stochastic gradient descent.
#pragma once

#include "train/optimizer.h"

namespace mixgrad::train {

struct SgdOptions {
  double lr = 1e-2;
  double momentum = 0;
  bool nesterov = false;    // needs a momentum
  double weight_decay = 0;  // L2: added to the gradient
};

// g += weight_decay p;  v = momentum v + g;  p -= lr v, or, with Nesterov's momentum, p -= lr (g + momentum v).
class Sgd : public Optimizer {
 public:
  explicit Sgd(const ParameterGroups& groups, const SgdOptions& options = {});
  std::vector<NamedTensor> state() const override { return {{"velocity", velocity_}}; }

 protected:
  void update(const Tensor& values, const Tensor& gradients, std::int64_t first, double lr,
              double weight_decay) override;
  std::string name_and_options() const override;

 private:
  SgdOptions options_;
  Tensor velocity_;
};

OptimizerFactory sgd(const SgdOptions& options = {});

}  // namespace mixgrad::train

namespace mixgrad::kernels {
// The update of one parameter p with gradient g.
template <class T>
struct SgdStep {
  explicit SgdStep(const train::SgdOptions& o)
      : rate(static_cast<T>(o.lr)),
        momentum(static_cast<T>(o.momentum)),
        decay(static_cast<T>(o.weight_decay)),
        nesterov(o.nesterov) {}

  MIXGRAD_HOST_DEVICE void operator()(T g, T& p, T& v) const {
    const T gradient = g + decay * p;
    v = momentum * v + gradient;
    p -= rate * (nesterov ? gradient + momentum * v : v);
  }

  T rate, momentum, decay;
  bool nesterov;
};
MIXGRAD_KERNEL(sgd_step, const train::SgdOptions& options, const Tensor& gradients, const Tensor& values,
               const Tensor& velocity);
}  // namespace mixgrad::kernels
