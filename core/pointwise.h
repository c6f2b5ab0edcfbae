// Pointwise arithmetic with NumPy broadcasting, and the pointwise functions of one tensor. f32 and f64.
//
// Shapes broadcast as in NumPy: aligned at the last axis, an extent of 1 stretches. Operands must agree in dtype and
// device. Every operation throws an Error that names it and both shapes otherwise.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

Tensor add(const Tensor& a, const Tensor& b);  // a + b
Tensor sub(const Tensor& a, const Tensor& b);  // a - b
Tensor mul(const Tensor& a, const Tensor& b);  // a * b
Tensor div(const Tensor& a, const Tensor& b);  // a / b, IEEE: x/0 is inf or nan

Tensor neg(const Tensor& x);   // -x
Tensor relu(const Tensor& x);  // max(x, 0); the derivative at 0 is 0
Tensor exp(const Tensor& x);   // e^x
Tensor log(const Tensor& x);   // natural logarithm; -inf at 0, nan below

// Sums the axes along which `shape` was broadcast to x.shape(): the gradient of broadcasting. Not recorded.
Tensor sum_to(const Tensor& x, const Shape& shape);

// a += b in place, same shape. Not recorded.
void add_(const Tensor& a, const Tensor& b);

// Operators; a number stands for a scalar tensor of the other operand's dtype.
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, Tensor::full({}, b, a.options())); }
inline Tensor operator-(const Tensor& a, double b) { return sub(a, Tensor::full({}, b, a.options())); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, Tensor::full({}, b, a.options())); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, Tensor::full({}, b, a.options())); }
inline Tensor operator+(double a, const Tensor& b) { return add(Tensor::full({}, a, b.options()), b); }
inline Tensor operator-(double a, const Tensor& b) { return sub(Tensor::full({}, a, b.options()), b); }
inline Tensor operator*(double a, const Tensor& b) { return mul(Tensor::full({}, a, b.options()), b); }
inline Tensor operator/(double a, const Tensor& b) { return div(Tensor::full({}, a, b.options()), b); }

enum class BinaryOp { add, sub, mul, div };
enum class UnaryOp { neg, relu, exp, log };

namespace kernels {
// out = a op b, broadcast to out's shape; out may be a.
MIXGRAD_KERNEL(binary, BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out);
MIXGRAD_KERNEL(unary, UnaryOp op, const Tensor& x, const Tensor& out);
// dx = dy * f'(x), where `saved` is what the derivative is computed from: x for log, the output for relu and exp.
MIXGRAD_KERNEL(unary_backward, UnaryOp op, const Tensor& saved, const Tensor& dy, const Tensor& dx);
}  // namespace kernels

}  // namespace mixgrad
