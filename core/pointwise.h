// Arithmetic with NumPy broadcasting. f32 and f64.
//
// Shapes broadcast as in NumPy: aligned at the last axis, an extent of 1 stretches. Operands must agree in dtype and
// device. Otherwise an operation throws an Error that names it and both shapes.
#pragma once

#include <span>

#include "core/tensor.h"
#include "core/unary.h"

namespace mixgrad {

Tensor add(const Tensor& a, const Tensor& b);  // a + b
Tensor sub(const Tensor& a, const Tensor& b);  // a - b
Tensor mul(const Tensor& a, const Tensor& b);  // a * b
Tensor div(const Tensor& a, const Tensor& b);  // a / b, IEEE: x/0 is inf or nan
// a^b, as std::pow. The derivative in a is 0 where b is 0; the derivative in b is 0 where a is 0.
Tensor pow(const Tensor& a, const Tensor& b);

// weight * x, but 0 where the weight is 0, even if x is infinite or nan: the term is skipped. There the derivative
// in x is 0, and that in the weight is x where x is finite and 0 elsewhere.
Tensor weighted(const Tensor& weight, const Tensor& x);

// Sums the axes along which `shape` was broadcast to x.shape(): the gradient of broadcasting. Not recorded.
Tensor sum_to(const Tensor& x, const Shape& shape);

// a += b in place, same shape. Not recorded.
void add_(const Tensor& a, const Tensor& b);

// The same for many such pairs, no `a` twice, on one device: in one launch for each 64 on the GPU.
struct Addition {
  Tensor a, b;
};
void add_each_(std::span<const Addition> additions);

// Operators; a number stands for a scalar tensor of the other operand's dtype.
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

namespace kernels {
MIXGRAD_KERNEL(add_each, std::span<const Addition> additions);
}  // namespace kernels

}  // namespace mixgrad
