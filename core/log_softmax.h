// log_softmax and softmax over the last axis.
#pragma once

#include "core/elementwise.h"
#include "core/tensor.h"

namespace mixgrad {

// y_i = x_i - log sum_j exp(x_j) over the last axis, computed from x - max(x) so that no exponential overflows.
// Throws unless x has a last axis with at least one element.
Tensor log_softmax(const Tensor& x);

// y_i = exp(x_i) / sum_j exp(x_j), likewise.
Tensor softmax(const Tensor& x);

namespace kernels {
enum class Softmax { plain, log };

// The gradient of an element of x from its y and dy, and from the sum of what all elements of the row add to it.
template <class T>
MIXGRAD_HOST_DEVICE T softmax_term(Softmax which, T y, T dy) {
  return which == Softmax::log ? dy : dy * y;
}
template <class V, class T>
MIXGRAD_HOST_DEVICE V softmax_gradient(Softmax which, V y, V dy, T sum) {
  return which == Softmax::log ? dy - functions::Math<V>::exp(y) * sum : y * (dy - sum);
}

MIXGRAD_KERNEL(softmax, Softmax which, const Tensor& x, Out out);
MIXGRAD_KERNEL(softmax_backward, Softmax which, const Tensor& y, const Tensor& dy, Out dx);
}  // namespace kernels

}  // namespace mixgrad
