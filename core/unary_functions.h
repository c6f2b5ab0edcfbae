// The functions of core/unary.h and their derivatives, one below the other, for the kernels of every device (private).
//
// A function object gives y = f(x) and backward(saved, dy) = dy f'(x); `saves` says whether `saved` is x or y. Of the
// two it is y where that will do: the layer after it keeps y alive anyway.
#pragma once

#include <cmath>

#include "core/host_device.h"
#include "core/unary.h"

namespace mixgrad::functions {

enum class Saves { input, output };

template <class T>
struct Neg {
  static constexpr Saves saves = Saves::output;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return -x; }
  MIXGRAD_HOST_DEVICE T backward(T, T dy) const { return -dy; }
};

template <class T>
struct Abs {
  static constexpr Saves saves = Saves::input;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return std::abs(x); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const { return x > 0 ? dy : x < 0 ? -dy : x * 0; }
};

template <class T>
struct Sqrt {
  static constexpr Saves saves = Saves::output;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return std::sqrt(x); }
  MIXGRAD_HOST_DEVICE T backward(T y, T dy) const { return dy / (2 * y); }
};

template <class T>
struct Exp {
  static constexpr Saves saves = Saves::output;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return std::exp(x); }
  MIXGRAD_HOST_DEVICE T backward(T y, T dy) const { return dy * y; }
};

template <class T>
struct Log {
  static constexpr Saves saves = Saves::input;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return std::log(x); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const { return dy / x; }
};

template <class T>
struct Pow {
  static constexpr Saves saves = Saves::input;
  T exponent;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return exponent == 2 ? x * x : std::pow(x, exponent); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const {
    if (exponent == 0) return 0;
    return dy * exponent * (exponent == 2 ? x : std::pow(x, exponent - 1));
  }
};

template <class T>
struct Clamp {
  static constexpr Saves saves = Saves::input;
  T low, high;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return x < low ? low : x > high ? high : x; }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const { return x >= low && x <= high ? dy : T{0}; }
};

// x <= 0 rather than !(x > 0), so that nan stays nan.
template <class T>
struct Relu {
  static constexpr Saves saves = Saves::output;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return x <= 0 ? T{0} : x; }
  MIXGRAD_HOST_DEVICE T backward(T y, T dy) const { return y <= 0 ? T{0} : dy; }
};

template <class T>
struct LeakyRelu {
  static constexpr Saves saves = Saves::input;
  T slope;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return x <= 0 ? slope * x : x; }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const { return x <= 0 ? slope * dy : dy; }
};

template <class T>
struct Tanh {
  static constexpr Saves saves = Saves::output;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return std::tanh(x); }
  MIXGRAD_HOST_DEVICE T backward(T y, T dy) const { return dy * (1 - y * y); }
};

template <class T>
struct Sigmoid {
  static constexpr Saves saves = Saves::output;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return 1 / (1 + std::exp(-x)); }
  MIXGRAD_HOST_DEVICE T backward(T y, T dy) const { return dy * y * (1 - y); }
};

template <class T>
struct Softplus {
  static constexpr Saves saves = Saves::input;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return (x > 0 ? x : T{0}) + std::log1p(std::exp(-std::abs(x))); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const { return dy * Sigmoid<T>{}(x); }
};

template <class T>
struct Silu {
  static constexpr Saves saves = Saves::input;
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return x * Sigmoid<T>{}(x); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const {
    const T s = Sigmoid<T>{}(x);
    return dy * s * (1 + x * (1 - s));
  }
};

template <class T>
struct Gelu {
  static constexpr Saves saves = Saves::input;
  // erfc rather than 1 + erf, of which nothing is left where erf is nearly -1.
  MIXGRAD_HOST_DEVICE static T normal_cdf(T x) { return std::erfc(-x * static_cast<T>(0.7071067811865476)) / 2; }
  MIXGRAD_HOST_DEVICE T operator()(T x) const { return x * normal_cdf(x); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const {
    const T density = static_cast<T>(0.3989422804014327) * std::exp(-x * x / 2);
    return dy * (normal_cdf(x) + x * density);
  }
};

// Calls body with the function object for elements of type T.
template <class T, class Body>
decltype(auto) with_function(const Unary& f, Body&& body) {
  const T a = static_cast<T>(f.a), b = static_cast<T>(f.b);
  switch (f.function) {
    case Unary::abs: return body(Abs<T>{});
    case Unary::sqrt: return body(Sqrt<T>{});
    case Unary::exp: return body(Exp<T>{});
    case Unary::log: return body(Log<T>{});
    case Unary::pow: return body(Pow<T>{a});
    case Unary::clamp: return body(Clamp<T>{a, b});
    case Unary::relu: return body(Relu<T>{});
    case Unary::leaky_relu: return body(LeakyRelu<T>{a});
    case Unary::tanh: return body(Tanh<T>{});
    case Unary::sigmoid: return body(Sigmoid<T>{});
    case Unary::softplus: return body(Softplus<T>{});
    case Unary::silu: return body(Silu<T>{});
    case Unary::gelu: return body(Gelu<T>{});
    case Unary::neg: break;
  }
  return body(Neg<T>{});
}

}  // namespace mixgrad::functions
