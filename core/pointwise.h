// Arithmetic and comparisons of two tensors, and the choice between them by a condition.
//
// Shapes broadcast as in NumPy: aligned at the last axis, an extent of 1 stretches. Operands must agree in dtype and
// device. Otherwise an operation throws an Error that names it and both shapes.
#pragma once

#include <span>

#include "core/tensor.h"
#include "core/unary.h"

namespace mixgrad {

// Arithmetic: f32 and f64.
Tensor add(const Tensor& a, const Tensor& b);  // a + b
Tensor sub(const Tensor& a, const Tensor& b);  // a - b
Tensor mul(const Tensor& a, const Tensor& b);  // a * b
Tensor div(const Tensor& a, const Tensor& b);  // a / b, IEEE: x/0 is inf or nan
// a^b, as std::pow. The derivative in a is 0 where b is 0; the derivative in b is 0 where a is 0.
Tensor pow(const Tensor& a, const Tensor& b);

// weight * x, but 0 where the weight is 0, even if x is infinite or nan: the term is skipped. There the derivative
// in x is 0, and that in the weight is x where x is finite and 0 elsewhere.
Tensor weighted(const Tensor& weight, const Tensor& x);

// 1 where the comparison holds, else 0, as u8. Any dtype; with a nan, only not_equal holds. Not differentiable.
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);

// a where the condition (u8) is not 0, b elsewhere; all three broadcast. f32 and f64. Differentiable in a and b: an
// element that was not chosen gets the gradient 0.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);

// Sums the axes along which `shape` was broadcast to x.shape(): the gradient of broadcasting. Not recorded.
Tensor sum_to(Tensor x, const Shape& shape);

// a += b in place, same shape. Not recorded.
void add_(const Tensor& a, const Tensor& b);

// The same for many such pairs, no `a` twice, on one device: in one launch for each 64 on the GPU.
struct Addition {
  Tensor a, b;
};
void add_each_(std::span<const Addition> additions);

// Operators; a number stands for a scalar tensor of the other operand's dtype. There is no ==: it would be mistaken for
// asking whether two tensors are equal as a whole.
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, Tensor::full({}, b, a.options())); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, Tensor::full({}, b, a.options())); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, Tensor::full({}, b, a.options())); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, Tensor::full({}, b, a.options())); }
inline Tensor operator+(double a, const Tensor& b) { return add(Tensor::full({}, a, b.options()), b); }
inline Tensor operator-(double a, const Tensor& b) { return sub(Tensor::full({}, a, b.options()), b); }
inline Tensor operator*(double a, const Tensor& b) { return mul(Tensor::full({}, a, b.options()), b); }
inline Tensor operator/(double a, const Tensor& b) { return div(Tensor::full({}, a, b.options()), b); }
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
MIXGRAD_KERNEL(add_each, std::span<const Addition> additions);
}  // namespace kernels

}  // namespace mixgrad
