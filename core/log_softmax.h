// log_softmax and softmax over the last axis.
#pragma once

#include <cmath>

#include "core/host_device.h"
#include "core/tensor.h"

namespace mixgrad {

// y_i = x_i - log sum_j exp(x_j) over the last axis, computed from x - max(x) so that no exponential overflows.
// Throws unless x has a last axis with at least one element.
Tensor log_softmax(const Tensor& x);

// y_i = exp(x_i) / sum_j exp(x_j): the exponential of log_softmax, and so as stable.
Tensor softmax(const Tensor& x);

namespace kernels {
// The formulas, for one element of a row.
template <class T>
MIXGRAD_HOST_DEVICE T log_softmax_of(T x, T largest, T log_total) {
  return x - largest - log_total;
}
template <class T>
MIXGRAD_HOST_DEVICE T log_softmax_gradient(T y, T dy, T total) {
  return dy - std::exp(y) * total;
}

MIXGRAD_KERNEL(log_softmax, const Tensor& x, Out out);
// dx_i = dy_i - exp(y_i) sum_j dy_j
MIXGRAD_KERNEL(log_softmax_backward, const Tensor& y, const Tensor& dy, Out dx);
}  // namespace kernels

}  // namespace mixgrad
