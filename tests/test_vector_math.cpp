// The functions of core/unary.h in f32, which go by vectors (core/vector_math.h): their errors over all floats, in
// units in the last place, what they make of infinities and nan, and that an element's place does not matter.
#include <doctest/doctest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/log_softmax.h"
#include "core/reduce.h"
#include "core/unary.h"

using namespace mixgrad;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

struct MathFunction {
  std::string name;
  Tensor (*f)(const Tensor&);
  double (*exact)(double);
  double ulps;       // the largest error
  double subnormal;  // results below may be off by as much
};

double phi(double x) { return std::erfc(-x * 0.70710678118654752440) / 2; }

const std::vector<MathFunction> all{
    {"exp", exp, [](double x) { return std::exp(x); }, 1, 0},
    {"log", log, [](double x) { return std::log(x); }, 1, 0},
    {"tanh", mixgrad::tanh, [](double x) { return std::tanh(x); }, 6, 0},
    {"sigmoid", sigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 3, 3e-38},
    {"softplus", softplus, [](double x) { return std::fmax(x, 0) + std::log1p(std::exp(-std::abs(x))); }, 2, 0},
    {"silu", silu, [](double x) { return x / (1 + std::exp(-x)); }, 4, 1e-36},
    {"gelu", gelu, [](double x) { return x * phi(x); }, 8, 1e-37}};

// Every so many-th float from -infinity to infinity.
std::vector<float> all_floats(std::uint32_t step) {
  std::vector<float> values;
  for (const std::uint32_t sign : {0u, 0x80000000u})
    for (std::uint32_t bits = 0; bits <= 0x7f800000u; bits += step) values.push_back(std::bit_cast<float>(sign | bits));
  return values;
}

std::vector<float> apply(Tensor (*f)(const Tensor&), const std::vector<float>& x) {
  return f(Tensor::from(x, {std::ssize(x)})).to_vector<float>();
}

// Of the float that is nearest to `exact`.
double ulp_of(double exact) {
  const float nearest = std::abs(static_cast<float>(exact));
  return static_cast<double>(std::nextafter(nearest, infinity)) - static_cast<double>(nearest);
}

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

}  // namespace

TEST_CASE("functions of a vector: within their error of the exact result, for all floats") {
  const std::vector<float> x = all_floats(10007);
  for (const MathFunction& function : all) {
    CAPTURE(function.name);
    const std::vector<float> y = apply(function.f, x);
    double worst = 0;
    float at = 0;
    int wrong = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double exact = function.exact(static_cast<double>(x[i]));
      if (!std::isfinite(static_cast<float>(exact))) {
        wrong += std::isnan(exact) ? !std::isnan(y[i]) : !(y[i] == static_cast<float>(exact));
        continue;
      }
      const double error = std::abs(static_cast<double>(y[i]) - exact);
      if (std::abs(exact) < function.subnormal ? error <= function.subnormal : error / ulp_of(exact) <= worst) continue;
      worst = error / ulp_of(exact);
      at = x[i];
    }
    CAPTURE(at);
    CHECK(worst <= function.ulps);
    CHECK(wrong == 0);
  }
}

TEST_CASE("functions of a vector: what they make of nan, infinities, zeros and the ends of their range") {
  const float nan = std::nanf("");
  for (const MathFunction& function : all) CHECK(std::isnan(apply(function.f, {nan})[0]));
  CHECK(apply(exp, {infinity, -infinity, 88.8f, -104.0f, 0.0f, -0.0f}) ==
        std::vector<float>{infinity, 0, infinity, 0, 1, 1});
  CHECK(apply(exp, {88.72f})[0] < infinity);
  CHECK(apply(exp, {-103.0f})[0] > 0);  // subnormal
  CHECK(apply(log, {0.0f, -0.0f, infinity, 1.0f}) == std::vector<float>{-infinity, -infinity, infinity, 0});
  for (const float value : apply(log, {-1.0f, -1e-45f, -infinity})) CHECK(std::isnan(value));
  CHECK(apply(mixgrad::tanh, {infinity, -infinity, 20.0f, 0.0f}) == std::vector<float>{1, -1, 1, 0});
  CHECK(apply(sigmoid, {infinity, -infinity, 0.0f}) == std::vector<float>{1, 0, 0.5f});
  CHECK(apply(softplus, {infinity, -infinity, 1000.0f}) == std::vector<float>{infinity, 0, 1000});
  CHECK(apply(gelu, {infinity, 1e30f, -1e30f, 0.0f}) == std::vector<float>{infinity, 1e30f, 0, 0});
  CHECK(apply(softmax, {-infinity, 0.0f, -infinity}) == std::vector<float>{0, 1, 0});
}

TEST_CASE("functions of a vector: an element's result and gradient do not depend on its place") {
  const std::vector<float> values{-20.5f, -3.25f, -1e-3f, 0.0f, 1e-40f, 0.7f, 2.5f, 17.0f, 90.0f, -infinity, infinity};
  for (const MathFunction& function : all) {
    CAPTURE(function.name);
    const auto with_gradient = [&](const std::vector<float>& x) {
      const Tensor leaf = Tensor::from(x, {std::ssize(x)}).requires_grad_(), y = function.f(leaf);
      std::vector<float> result = y.detach().to_vector<float>();
      sum(y).backward();
      for (const float value : leaf.grad().to_vector<float>()) result.push_back(value);
      return result;
    };
    for (const float value : values) {
      const std::vector<float> alone = with_gradient({value});
      for (const std::size_t n : {2u, 5u, 16u, 33u})
        for (const std::size_t place : {std::size_t{0}, n / 2, n - 1}) {
          std::vector<float> x(n, 0.3f);
          x[place] = value;
          const std::vector<float> result = with_gradient(x);
          CHECK((std::isnan(alone[0]) ? std::isnan(result[place]) : same_bits(result[place], alone[0])));
          CHECK((std::isnan(alone[1]) ? std::isnan(result[n + place]) : same_bits(result[n + place], alone[1])));
        }
    }
  }
}
