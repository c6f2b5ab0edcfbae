// Adam (Kingma and Ba, 2014) and AdamW (Loshchilov and Hutter, "Decoupled weight decay regularization", 2017).
#pragma once

#include <cmath>

#include "core/host_device.h"
#include "train/optimizer.h"

namespace mixgrad::train {

struct AdamOptions {
  double lr = 3e-3;
  double beta1 = 0.9;
  double beta2 = 0.99;  // fastai's; PyTorch's default is 0.999
  double eps = 1e-8;
  double weight_decay = 1e-2;  // of every parameter, biases too
};

// At step t:  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
//             p -= lr weight_decay p                                    (adamw; in adam g += weight_decay p first)
//             p -= lr (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)
// Throws unless 0 <= beta < 1 for both, eps > 0 and weight_decay >= 0.
Rule adamw(const AdamOptions& options = {});
Rule adam(const AdamOptions& options = {});

}  // namespace mixgrad::train

namespace mixgrad::kernels {
// The update of one parameter p with gradient g; the rule's coefficients().
template <class T>
struct AdamStep {
  MIXGRAD_HOST_DEVICE explicit AdamStep(const T* c)
      : beta1(c[0]),
        rest1(c[1]),
        beta2(c[2]),
        rest2(c[3]),
        rate(c[4]),
        correction(c[5]),
        eps(c[6]),
        shrink(c[7]),
        l2(c[8]) {}

  MIXGRAD_HOST_DEVICE void operator()(T g, T& p, T& m, T& v) const {
    const T gradient = g + l2 * p;
    m = beta1 * m + rest1 * gradient;
    v = beta2 * v + rest2 * gradient * gradient;
    p = p * shrink - rate * m / (std::sqrt(v) * correction + eps);
  }

  T beta1, rest1, beta2, rest2, rate, correction, eps, shrink, l2;
};
MIXGRAD_KERNEL(adam_step, const Tensor& coefficients, const Tensor& gradients, const Tensor& values, const Tensor& mean,
               const Tensor& square);
}  // namespace mixgrad::kernels
