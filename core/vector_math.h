// <cmath> for vectors of floats (private: for .cpp files): Eigen's packet functions, and where their range will not do,
// polynomials. Errors, over all floats, are in units in the last place (ulp) of the result; infinities,
// nan and subnormal numbers are those of <cmath>. An element's result does not depend on its lane.
#pragma once

#include <bit>
#include <cstring>
#include <limits>

#include "core/eigen.h"
#include "core/elementwise.h"
#include "core/simd.h"

namespace mixgrad::functions {

template <>
struct Math<host::Vector> {
  using Vector = host::Vector;
  using Packet = Eigen::internal::packet_traits<float>::type;
  static_assert(sizeof(Packet) == sizeof(Vector));

  static Vector constant(double x) { return Vector{} + static_cast<float>(x); }

  // 1 ulp. Eigen's stops short of the largest results, and at -infinity gives 3e-39.
  static Vector exp(Vector x) {
    x = x > 89.0f ? constant(89) : x < -104.0f ? constant(-104) : x;
    const auto [power, n] = reduced_exp(x);
    const Ints half = n >> 1;  // 2^n as two factors: it may be that of infinity or of a subnormal number
    return power * power_of_two(half) * power_of_two(n - half);
  }

  // log x = n log 2 + log(1 + f) with a whole n and 1 + f from sqrt(1/2) to sqrt 2; subnormal x are multiplied by 2^24
  // first. 1 ulp; half the time of Eigen's, which takes subnormal x for the smallest normal number.
  static Vector log(Vector x) {
    const auto subnormal = x < 1.17549435e-38f;
    const Bits bits = std::bit_cast<Bits>(subnormal ? x * 16777216.0f : x);
    const Ints power = std::bit_cast<Ints>(bits - std::bit_cast<std::uint32_t>(0.707106781f)) >> 23;
    const Vector f = std::bit_cast<Vector>(bits - std::bit_cast<Bits>(power << 23)) - 1.0f;
    const Vector n = __builtin_convertvector(power, Vector) - (subnormal ? constant(24) : Vector{});
    const Vector y = n * 0.693359375f + (log1p(f) - n * 2.12194440e-4f);
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const Vector special = x == 0.0f ? constant(-infinity) : x == infinity ? x : constant(NAN);
    return x > 0.0f && x < infinity ? y : special;
  }

  // 6 ulp; 5 with fused multiply-adds.
  static Vector tanh(Vector x) { return unpacked(Eigen::internal::ptanh(packed(x))); }

  // x^y = e^(y log x) in f64, rounded once: 0.55 ulp. By std::pow where x is not a positive number, or y not a number.
  static Vector pow(Vector x, Vector y) {
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const auto unusual = !(x > 0.0f && x < infinity && y - y == 0.0f);
    Vector result = x;
    for (int i = 0; i < host::lanes; i += host::lanes / 2) {
      Half a, b;
      std::memcpy(&a, reinterpret_cast<const float*>(&x) + i, sizeof a);
      std::memcpy(&b, reinterpret_cast<const float*>(&y) + i, sizeof b);
      const Half c = pow_of_usual(a, b);
      std::memcpy(reinterpret_cast<float*>(&result) + i, &c, sizeof c);
    }
    if (Eigen::internal::predux_any(packed(std::bit_cast<Vector>(unusual))))
      for (int i = 0; i < host::lanes; ++i)
        if (unusual[i]) result[i] = std::pow(x[i], y[i]);
    return result;
  }

  static Vector abs(Vector x) { return unpacked(Eigen::internal::pabs(packed(x))); }
  static Vector sqrt(Vector x) { return unpacked(Eigen::internal::psqrt(packed(x))); }

  // log(1 + x) for x from sqrt(1/2) - 1 to 1: 2 artanh s for s = x / (2 + x), by a polynomial with an error below 5e-9,
  // and written as x less something. 1 ulp.
  static Vector log1p(Vector x) {
    const Vector s = x / (2.0f + x), t = s * s;
    return x - s * (x - t * polynomial(t, 0.666664163f, 0.400215273f, 0.280018043f, 0.280119907f));
  }

  // For a >= 0, Phi(-a) = e^(-a^2 / 2) R(a) with R smooth: a polynomial in (a - 3) / (a + 3) over a + 3, with an error
  // below 6e-8. The square is a sum of two parts, as its rounding would cost digits of e. Phi: 8 ulp; below 1e-38 it is
  // 0.
  static Normal<Vector> normal(Vector x) {
    const Vector a = abs(x);
    Packet square, rest;
    Eigen::internal::twoprod(packed(a), packed(a * -0.5f), square, rest);
    const auto [power, n] = reduced_exp(unpacked(square), unpacked(rest));
    const auto beyond = a > 13.0f;
    const Vector e =
        beyond ? Vector{} : std::bit_cast<Vector>(std::bit_cast<Bits>(power) + (std::bit_cast<Bits>(n) << 23));
    const Vector r = 1.0f / (a + 3.0f), u = 1.0f - 6.0f * r;
    const Vector ratio = r * polynomial(u, 0.729083683f, -0.509332328f, 0.230019399f, -0.0472552853f, -0.0104800843f,
                                        0.00692000858f, 0.00107473473f, -0.000897756703f, -0.000262991990f);
    const Vector tail = beyond ? Vector{} : e * ratio;
    return {x > 0.0f ? 1.0f - tail : tail, e * 0.398942280f};
  }

 private:
  using Bits = std::uint32_t __attribute__((vector_size(sizeof(Vector))));  // these two wrap around
  using WideBits = std::uint64_t __attribute__((vector_size(sizeof(Vector))));
  using Ints = std::int32_t __attribute__((vector_size(sizeof(Vector))));
  using Half = float __attribute__((vector_size(sizeof(Vector) / 2)));
  using Doubles = double __attribute__((vector_size(sizeof(Vector))));
  using Wide = std::int64_t __attribute__((vector_size(sizeof(Vector))));
  static Packet packed(Vector v) { return std::bit_cast<Packet>(v); }
  static Vector unpacked(Packet p) { return std::bit_cast<Vector>(p); }
  // e^x = 2^n e^r with a whole n and |r| <= ln 2 / 2, where ln 2 is taken off in two parts (Cody and Waite, "Software
  // manual for the elementary functions", 1980) and e^r is a polynomial with an error below 4e-9.
  struct ReducedExp {
    Vector power;
    Ints n;
  };
  static ReducedExp reduced_exp(Vector x, auto... rest) {  // of x + rest
    constexpr float whole = 12582912;  // 1.5 * 2^23: what is added to it is rounded to a whole number
    const Vector shifted = x * 1.44269504f + whole, n = shifted - whole;
    const Vector r = ((x - n * 0.693359375f + n * 2.12194440e-4f) + ... + rest);
    return {
        1.0f + (r + r * r * polynomial(r, 0.499999935f, 0.166665206f, 0.0416683881f, 0.00836871696f, 0.00138145978f)),
        std::bit_cast<Ints>(std::bit_cast<Bits>(shifted) - std::bit_cast<std::uint32_t>(whole))};
  }
  static Half pow_of_usual(Half x, Half y) {
    constexpr double log_2 = 0.69314718055994531, whole = 6755399441055744;  // 1.5 * 2^52
    const WideBits bits = std::bit_cast<WideBits>(__builtin_convertvector(x, Doubles));
    const Wide power = std::bit_cast<Wide>(bits - std::bit_cast<std::uint64_t>(0.70710678118654752)) >> 52;
    const Doubles f = std::bit_cast<Doubles>(bits - std::bit_cast<WideBits>(power << 52)) - 1.0, s = f / (2.0 + f),
                  t = s * s;
    const Doubles log_x = __builtin_convertvector(power, Doubles) * log_2 +
                          s * (2.0 + t * polynomial(t, 0.66666665645, 0.40000335192, 0.28537308480, 0.23582152317));
    Doubles z = __builtin_convertvector(y, Doubles) * log_x;
    z = z > 100.0 ? Doubles{} + 100.0 : z < -110.0 ? Doubles{} - 110.0 : z;
    const Doubles shifted = z * (1 / log_2) + whole, r = z - (shifted - whole) * log_2;
    const Doubles e_r =
        1.0 +
        (r + r * r * polynomial(r, 0.50000000952, 0.16666518839, 0.041666205811, 0.0083688894285, 0.0013950490476));
    const WideBits n = std::bit_cast<WideBits>(shifted) - std::bit_cast<std::uint64_t>(whole);
    return __builtin_convertvector(e_r * std::bit_cast<Doubles>((n + 1023u) << 52), Half);
  }
  static Vector power_of_two(Ints n) { return std::bit_cast<Vector>((std::bit_cast<Bits>(n) + 127u) << 23); }
  // first + x (second + x (...)), by Horner's rule.
  template <class V, class T>
  static V polynomial(V, T last) {
    return V{} + last;
  }
  template <class V, class T, class... Rest>
  static V polynomial(V x, T first, Rest... rest) {
    return first + x * polynomial(x, rest...);
  }
};

}  // namespace mixgrad::functions
