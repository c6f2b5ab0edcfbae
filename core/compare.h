// Comparisons with NumPy broadcasting, and the choice between two tensors by a condition.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

// 1 where the comparison holds, else 0, as u8. Any dtype, the same for both; with a nan, only not_equal holds. Not
// differentiable. Throws as arithmetic does (core/pointwise.h).
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);

// a where the condition (u8) is not 0, b elsewhere; all three broadcast. f32 and f64. Differentiable in a and b: an
// element that was not chosen gets the gradient 0.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

// Operators; a number stands for a scalar tensor of the other operand's dtype. There is no ==: it would be mistaken for
// asking whether two tensors are equal as a whole.
inline Tensor operator<(const Tensor& a, const Tensor& b) { return less(a, b); }
inline Tensor operator<=(const Tensor& a, const Tensor& b) { return less_equal(a, b); }
inline Tensor operator>(const Tensor& a, const Tensor& b) { return greater(a, b); }
inline Tensor operator>=(const Tensor& a, const Tensor& b) { return greater_equal(a, b); }
inline Tensor operator<(const Tensor& a, double b) { return less(a, Tensor::full({}, b, a.options())); }
inline Tensor operator<=(const Tensor& a, double b) { return less_equal(a, Tensor::full({}, b, a.options())); }
inline Tensor operator>(const Tensor& a, double b) { return greater(a, Tensor::full({}, b, a.options())); }
inline Tensor operator>=(const Tensor& a, double b) { return greater_equal(a, Tensor::full({}, b, a.options())); }

namespace kernels {
// out = condition ? a : b, broadcast to out's shape
MIXGRAD_KERNEL(where, const Tensor& condition, const Tensor& a, const Tensor& b, Out out);
}  // namespace kernels

}  // namespace mixgrad
