// <cmath> for vectors of floats (private: for .cpp files): Eigen's packet functions, and where their range will not do,
// polynomials. Errors, over all floats, are in units in the last place (ulp) of the result; infinities,
// nan and subnormal numbers are those of <cmath>. An element's result does not depend on its lane.
#pragma once

#include <bit>
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

  // e^x = 2^n e^r with a whole n and |r| <= ln 2 / 2, where ln 2 is taken off in two parts (Cody and Waite, "Software
  // manual for the elementary functions", 1980) and e^r is a polynomial with an error below 4e-9. 2^n is two factors,
  // so that n may be that of infinity or of a subnormal number. 1 ulp. Eigen's stops short of the largest results, and
  // at -infinity gives 3e-39.
  static Vector exp(Vector x) {
    x = x > 89.0f ? constant(89) : x < -104.0f ? constant(-104) : x;
    constexpr float whole = 12582912;  // 1.5 * 2^23: what is added to it is rounded to a whole number
    const Vector shifted = x * 1.44269504f + whole, n = shifted - whole;
    const Vector r = x - n * 0.693359375f + n * 2.12194440e-4f;
    const Vector power =
        1.0f + (r + r * r * polynomial(r, 0.499999935f, 0.166665206f, 0.0416683881f, 0.00836871696f, 0.00138145978f));
    const Bits bits = std::bit_cast<Bits>(shifted) - std::bit_cast<std::int32_t>(whole), half = bits >> 1;
    return power * power_of_two(half) * power_of_two(bits - half);
  }

  // log x = n log 2 + log(1 + f) with a whole n and 1 + f from sqrt(1/2) to sqrt 2; subnormal x are multiplied by 2^24
  // first. 1 ulp; half the time of Eigen's, which takes subnormal x for the smallest normal number.
  static Vector log(Vector x) {
    const auto subnormal = x < 1.17549435e-38f;
    const Bits bits = std::bit_cast<Bits>(subnormal ? x * 16777216.0f : x);
    const Bits power = (bits - std::bit_cast<std::int32_t>(0.707106781f)) >> 23;
    const Vector f = std::bit_cast<Vector>(bits - (power << 23)) - 1.0f;
    const Vector n = __builtin_convertvector(power, Vector) - (subnormal ? constant(24) : Vector{});
    const Vector y = n * 0.693359375f + (log1p(f) - n * 2.12194440e-4f);
    constexpr float infinity = std::numeric_limits<float>::infinity();
    const Vector special = x == 0.0f ? constant(-infinity) : x == infinity ? x : constant(NAN);
    return x > 0.0f && x < infinity ? y : special;
  }

  // 6 ulp; 5 with fused multiply-adds.
  static Vector tanh(Vector x) { return unpacked(Eigen::internal::ptanh(packed(x))); }

  static Vector pow(Vector x, Vector y) {
    for (int i = 0; i < host::lanes; ++i) x[i] = std::pow(x[i], y[i]);
    return x;
  }

  static Vector abs(Vector x) { return unpacked(Eigen::internal::pabs(packed(x))); }

  // log(1 + x) for x from sqrt(1/2) - 1 to 1: 2 artanh s for s = x / (2 + x), by a polynomial with an error below 5e-9,
  // and written as x less something. 1 ulp.
  static Vector log1p(Vector x) {
    const Vector s = x / (2.0f + x), t = s * s;
    return x - s * (x - t * polynomial(t, 0.666664163f, 0.400215273f, 0.280018043f, 0.280119907f));
  }

  // For a >= 0, Phi(-a) = phi(a) R(a) with Mills' ratio R: over a + c, c = 3.5, a polynomial in (a - c) / (a + c) with
  // an error below 8e-9. The square in phi is that of a short number, which is exact, and a small rest. Phi: 4 ulp.
  static Normal<Vector> normal(Vector x) {
    const Vector absolute = abs(x), a = absolute > 15.0f ? constant(15) : absolute, head = shortened(a),
                 rest = (a - head) * (a + head) * 0.5f;
    const Vector power = exp(head * head * -0.5f) * (1.0f - rest * (1.0f - rest * (0.5f - rest * 0.166666667f)));
    const Vector r = 1.0f / (a + 3.5f), u = 1.0f - 7.0f * r;
    const Vector tail = power * r *
                        polynomial(u, 0.744416074f, -0.565561745f, 0.315425049f, -0.116053041f, 0.0174063785f,
                                   0.00649311593f, -0.00317531085f, -0.000494943683f, 0.000421897850f, 0.000110689402f);
    return {x > 0.0f ? 1.0f - tail : tail, power * 0.398942280f};
  }

 private:
  using Bits = std::int32_t __attribute__((vector_size(sizeof(Vector))));
  static Packet packed(Vector v) { return std::bit_cast<Packet>(v); }
  static Vector unpacked(Packet p) { return std::bit_cast<Vector>(p); }
  // The upper 12 bits of the significands.
  static Vector shortened(Vector v) { return std::bit_cast<Vector>(std::bit_cast<Bits>(v) & ~0xfff); }
  static Vector power_of_two(Bits n) { return std::bit_cast<Vector>((n + 127) << 23); }
  // first + x (second + x (...)), by Horner's rule.
  static Vector polynomial(Vector, float last) { return constant(last); }
  template <class... Rest>
  static Vector polynomial(Vector x, float first, Rest... rest) {
    return first + x * polynomial(x, rest...);
  }
};

}  // namespace mixgrad::functions
