// Functions of one tensor, element by element. f32 and f64; any shape.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

Tensor neg(const Tensor& x);   // -x
Tensor abs(const Tensor& x);   // |x|; the derivative at 0 is 0
Tensor sqrt(const Tensor& x);  // nan below 0
Tensor exp(const Tensor& x);   // e^x
Tensor log(const Tensor& x);   // natural logarithm; -inf at 0, nan below
// x^exponent, as std::pow, but x^0.5 is sqrt(x), also at -infinity; the derivative of x^0 is 0 everywhere.
Tensor pow(const Tensor& x, double exponent);
// x, but at least `low` and at most `high`; nan stays. The derivative is 1 from low to high inclusive, else 0. Throws
// unless low <= high.
Tensor clamp(const Tensor& x, double low, double high);

Tensor relu(const Tensor& x);                             // max(x, 0); the derivative at 0 is 0
Tensor leaky_relu(const Tensor& x, double slope = 0.01);  // x above 0, slope x below
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);   // 1 / (1 + e^-x)
Tensor softplus(const Tensor& x);  // log(1 + e^x), without overflow
Tensor silu(const Tensor& x);      // x sigmoid(x) (Elfwing et al., 2017)
Tensor gelu(const Tensor& x);      // x Phi(x), Phi the normal distribution (Hendrycks and Gimpel, 2016); by erfc

inline Tensor operator-(const Tensor& x) { return neg(x); }

}  // namespace mixgrad
