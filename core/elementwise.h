// What the operations of core/unary.h and pointwise.h compute for each element: function objects, each for every dtype
// and device, and the kernels that take them.
#pragma once

#include <cmath>
#include <functional>
#include <variant>

#include "core/host_device.h"
#include "core/tensor.h"

namespace mixgrad::functions {

// The normal distribution's cumulative function and density.
template <class T>
struct Normal {
  T cdf, density;
};

// What formulas below need of <cmath>: numbers use that itself, vectors core/vector_math.h.
template <class T>
struct Math {
  MIXGRAD_HOST_DEVICE static T constant(double x) { return static_cast<T>(x); }
  MIXGRAD_HOST_DEVICE static T exp(T x) { return std::exp(x); }
  MIXGRAD_HOST_DEVICE static T log(T x) { return std::log(x); }
  MIXGRAD_HOST_DEVICE static T log1p(T x) { return std::log1p(x); }  // of 0..1
  MIXGRAD_HOST_DEVICE static T tanh(T x) { return std::tanh(x); }
  MIXGRAD_HOST_DEVICE static T pow(T x, T y) { return std::pow(x, y); }
  MIXGRAD_HOST_DEVICE static T abs(T x) { return std::abs(x); }
  MIXGRAD_HOST_DEVICE static T sqrt(T x) { return std::sqrt(x); }
  // By erfc rather than 1 + erf, which cancels where erf is nearly -1.
  MIXGRAD_HOST_DEVICE static Normal<T> normal(T x) {
    return {std::erfc(-x * constant(0.7071067811865476)) / 2, constant(0.3989422804014327) * std::exp(-x * x / 2)};
  }
};

// A function of one element: y = f(x), and dx = dy f'(x) as from_input(x, dy) or from_output(y, dy), the latter where y
// suffices: the next layer keeps y alive anyway.

struct Neg {
  static constexpr const char* name = "neg";
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const { return -x; }
  MIXGRAD_HOST_DEVICE auto from_output(auto, auto dy) const { return -dy; }
};

struct Abs {
  static constexpr const char* name = "abs";
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const { return std::abs(x); }
  MIXGRAD_HOST_DEVICE auto from_input(auto x, auto dy) const { return x > 0 ? dy : x < 0 ? -dy : x * 0; }
};

struct Sqrt {
  static constexpr const char* name = "sqrt";
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const { return std::sqrt(x); }
  MIXGRAD_HOST_DEVICE auto from_output(auto y, auto dy) const { return dy / (2 * y); }
};

struct Exp {
  static constexpr const char* name = "exp";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return Math<T>::exp(x);
  }
  MIXGRAD_HOST_DEVICE auto from_output(auto y, auto dy) const { return dy * y; }
};

struct Log {
  static constexpr const char* name = "log";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return Math<T>::log(x);
  }
  MIXGRAD_HOST_DEVICE auto from_input(auto x, auto dy) const { return dy / x; }
};

// x^n
template <int n>
struct Power {
  static constexpr const char* name = "pow";
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const {
    if constexpr (n == 1) return x;
    else return x * Power<n - 1>{}(x);
  }
  MIXGRAD_HOST_DEVICE auto from_input(auto x, auto dy) const { return dy * (n * Power<n - 1>{}(x)); }
};

struct Pow {
  static constexpr const char* name = "pow";
  double exponent;
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    if (exponent == 0.5) return Math<T>::sqrt(x);
    if (exponent == 2) return Power<2>{}(x);
    if (exponent == 3) return Power<3>{}(x);
    return Math<T>::pow(x, Math<T>::constant(exponent));
  }
  template <class T>
  MIXGRAD_HOST_DEVICE T from_input(T x, T dy) const {
    if (exponent == 0) return T{};
    return dy * Math<T>::constant(exponent) * Pow{exponent - 1}(x);
  }
};

struct Clamp {
  static constexpr const char* name = "clamp";
  double low, high;
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    const T least = static_cast<T>(low), most = static_cast<T>(high);
    return x < least ? least : x > most ? most : x;
  }
  template <class T>
  MIXGRAD_HOST_DEVICE T from_input(T x, T dy) const {
    return x >= static_cast<T>(low) && x <= static_cast<T>(high) ? dy : 0;  // 0 for nan
  }
};

// x <= 0 rather than !(x > 0), so that nan stays nan.
struct Relu {
  static constexpr const char* name = "relu";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return x <= 0.0f ? T{} : x;
  }
  template <class T>
  MIXGRAD_HOST_DEVICE T from_output(T y, T dy) const {
    return y <= 0.0f ? T{} : dy;
  }
};

struct LeakyRelu {
  static constexpr const char* name = "leaky_relu";
  double slope;
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const { return from_input(x, x); }
  template <class T>
  MIXGRAD_HOST_DEVICE T from_input(T x, T dy) const {
    return x <= 0 ? static_cast<T>(slope) * dy : dy;
  }
};

struct Tanh {
  static constexpr const char* name = "tanh";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return Math<T>::tanh(x);
  }
  MIXGRAD_HOST_DEVICE auto from_output(auto y, auto dy) const { return dy * (1.0f - y * y); }
};

struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return 1.0f / (1.0f + Math<T>::exp(-x));
  }
  MIXGRAD_HOST_DEVICE auto from_output(auto y, auto dy) const { return dy * y * (1.0f - y); }
};

struct Softplus {
  static constexpr const char* name = "softplus";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return (x > 0.0f ? x : T{}) + Math<T>::log1p(Math<T>::exp(-Math<T>::abs(x)));
  }
  MIXGRAD_HOST_DEVICE auto from_input(auto x, auto dy) const { return dy * Sigmoid{}(x); }
};

struct Silu {
  static constexpr const char* name = "silu";
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const { return x * Sigmoid{}(x); }
  MIXGRAD_HOST_DEVICE auto from_input(auto x, auto dy) const {
    const auto s = Sigmoid{}(x);
    return dy * s * (1.0f + x * (1.0f - s));
  }
};

struct Gelu {
  static constexpr const char* name = "gelu";
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T x) const {
    return x * Math<T>::normal(x).cdf;
  }
  template <class T>
  MIXGRAD_HOST_DEVICE T from_input(T x, T dy) const {
    const Normal<T> normal = Math<T>::normal(x);
    return dy * (normal.cdf + x * normal.density);
  }
};

// All of them: both devices have kernels for these.
using Unary = std::variant<Neg, Abs, Sqrt, Exp, Log, Power<2>, Power<3>, Pow, Clamp, Relu, LeakyRelu, Tanh, Sigmoid,
                           Softplus, Silu, Gelu>;

struct Identity {
  static constexpr const char* name = "identity";
  MIXGRAD_HOST_DEVICE auto operator()(auto x) const { return x; }
  MIXGRAD_HOST_DEVICE auto from_output(auto, auto dy) const { return dy; }
};

// What a layer may compute in the pass of the one in front of it (nn/sequential.h); Identity: nothing.
using Activation = std::variant<Identity, Relu, Silu, Gelu>;

template <class F>
inline constexpr bool saves_input = requires(F f) {
  f.from_input(0.0f, 0.0f);
};

// Whether F is worth a loop of explicit vectors: a compiler makes vectors of the others itself.
template <class F>
inline constexpr bool calls_math =
    std::is_same_v<F, Exp> || std::is_same_v<F, Log> || std::is_same_v<F, Pow> || std::is_same_v<F, Tanh> ||
    std::is_same_v<F, Sigmoid> || std::is_same_v<F, Softplus> || std::is_same_v<F, Silu> || std::is_same_v<F, Gelu>;

// The derivative of F as a function of dy and of what it is computed from.
template <class F>
struct Backward {
  F f;
  MIXGRAD_HOST_DEVICE auto operator()(auto saved, auto dy) const {
    if constexpr (saves_input<F>) return f.from_input(saved, dy);
    else return f.from_output(saved, dy);
  }
};

struct BinaryPow {
  MIXGRAD_HOST_DEVICE auto operator()(auto x, auto y) const { return std::pow(x, y); }
};

struct Weighted {
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(T weight, T x) const {
    return weight == 0 ? 0 : weight * x;
  }
};

template <class To>
struct NumberAs {
  MIXGRAD_HOST_DEVICE To operator()(auto value) const { return number_as<To>(value); }
};

struct Choose {
  template <class T>
  MIXGRAD_HOST_DEVICE T operator()(std::uint8_t condition, T a, T b) const {
    return condition ? a : b;
  }
};

// Functions of two elements: of one floating type, and of any type to a boolean.
using Arithmetic = std::variant<std::plus<>, std::minus<>, std::multiplies<>, std::divides<>, BinaryPow, Weighted>;
using Comparison = std::variant<std::less<>, std::less_equal<>, std::equal_to<>, std::not_equal_to<>>;

}  // namespace mixgrad::functions

namespace mixgrad::kernels {
MIXGRAD_KERNEL(unary, const functions::Unary& f, const Tensor& x, Out out);
// dx = dy f'(x), where `saved` is x or f(x), as the function has from_input or from_output
MIXGRAD_KERNEL(unary_backward, const functions::Unary& f, const Tensor& saved, const Tensor& dy, Out dx);
// out = f(a, b), broadcast to out's shape; out may be a
MIXGRAD_KERNEL(binary, const functions::Arithmetic& f, const Tensor& a, const Tensor& b, Out out);
// out (u8) = f(a, b), broadcast to out's shape
MIXGRAD_KERNEL(compare, const functions::Comparison& f, const Tensor& a, const Tensor& b, Out out);
}  // namespace mixgrad::kernels
