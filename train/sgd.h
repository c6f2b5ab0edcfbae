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
// Throws unless momentum and weight_decay are at least 0.
Rule sgd(const SgdOptions& options = {});

}  // namespace mixgrad::train

namespace mixgrad::kernels {
// The update of one parameter p with gradient g.
template <class T>
struct SgdStep {
  MIXGRAD_HOST_DEVICE explicit SgdStep(const T* c) : rate(c[0]), momentum(c[1]), decay(c[2]), nesterov(c[3] != 0) {}

  MIXGRAD_HOST_DEVICE void operator()(T g, T& p, T& v) const {
    const T gradient = g + decay * p;
    v = momentum * v + gradient;
    p -= rate * (nesterov ? gradient + momentum * v : v);
  }

  T rate, momentum, decay;
  bool nesterov;
};
MIXGRAD_KERNEL(sgd_step, const Tensor& coefficients, const Tensor& gradients, const Tensor& values,
               const Tensor& velocity);
}  // namespace mixgrad::kernels
