// core's operations against PyTorch, values and gradients. golden/core_cases.py has the same tables.
#include <doctest/doctest.h>

#include <string>

#include "core/layout.h"
#include "core/log_softmax.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "golden.h"

namespace mixgrad {
namespace {

using test::check_case;
using test::GoldenFile;
using test::Inputs;
using test::Tolerance;

// ---- Functions of one tensor. Each number must be right relative to its own size, unless it is below 2^-100, which
// is near the end of f32. A few roundings of 1e-16 and 6e-8, then.
constexpr double tiny = 0x1p-100;
constexpr Tolerance relative{.f64 = 2e-15, .f32 = 1e-6, .floor = tiny, .gradient_floor = tiny};
// Where the derivative is a difference such as 1 - y^2, only its absolute error is small.
constexpr Tolerance relative_value{.f64 = 2e-15, .f32 = 1e-6, .floor = tiny};

void check_unary(const std::string& name, Tensor (*f)(const Tensor&), const Tolerance& tolerance = relative) {
  static const GoldenFile golden("unary");
  check_case(
      golden, name, {"x"}, [f](const Inputs& in) { return f(in[0]); }, tolerance);
}

TEST_CASE("golden: neg, abs, sqrt, exp and log equal PyTorch's, from 2^-100 to 2^100") {
  check_unary("neg", neg);
  check_unary("abs", abs);
  check_unary("sqrt", sqrt);
  check_unary("exp", exp);
  check_unary("log", log);
}

TEST_CASE("golden: pow with a number equals PyTorch's, of negative numbers and 0 too") {
  check_unary("pow_2", [](const Tensor& x) { return pow(x, 2); });
  check_unary("pow_3", [](const Tensor& x) { return pow(x, 3); });
  check_unary("pow_1", [](const Tensor& x) { return pow(x, 1); });
  check_unary("pow_0", [](const Tensor& x) { return pow(x, 0) + 0.0 * x; });
  check_unary("pow_0.5", [](const Tensor& x) { return pow(x, 0.5); });
  check_unary("pow_-1", [](const Tensor& x) { return pow(x, -1); });
  check_unary("pow_-1.5", [](const Tensor& x) { return pow(x, -1.5); });
}

TEST_CASE("golden: clamp, relu and leaky_relu equal PyTorch's, the last two at their kink too") {
  check_unary("clamp", [](const Tensor& x) { return clamp(x, -1.25, 20); });
  check_unary("relu", relu);
  check_unary("leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.25); });
}

TEST_CASE("golden: tanh, sigmoid, softplus and silu equal PyTorch's, from 2^-100 to 2^100") {
  check_unary("tanh", tanh, relative_value);
  check_unary("sigmoid", sigmoid, relative_value);
  check_unary("softplus", softplus);
  check_unary("silu", silu, relative_value);
}

TEST_CASE("golden: gelu equals x erfc(-x / sqrt 2) / 2, also far below 0") {
  // The logarithm of erfc(z) falls like z^2: at x = -10 a rounding of z grows by 2 z^2 = 100.
  check_unary("gelu", gelu, {.f64 = 2e-14, .f32 = 1e-5, .floor = tiny});
}

// ---- Functions of two tensors

TEST_CASE("golden: pow of two tensors equals PyTorch's, at 0 and of negative numbers too") {
  const GoldenFile golden("pointwise");
  const auto power = [](const Inputs& in) { return pow(in[0], in[1]); };
  const Tolerance roundings{.f64 = 1e-14, .f32 = 2e-6};  // of a sum of three terms
  check_case(golden, "pow", {"a", "b"}, power, roundings);
  check_case(golden, "pow_zero_base", {"a", "b"}, power, roundings);
  const auto integer_power = [&](const Inputs& in) {
    return pow(in[0], golden.get("pow_negative_base.b", in[0].dtype()));
  };
  check_case(golden, "pow_negative_base", {"a"}, integer_power, roundings);
}

TEST_CASE("golden: where equals PyTorch's, with broadcasting too") {
  const GoldenFile golden("pointwise");
  for (const std::string name : {"where", "where_broadcast"}) {
    const Tensor condition = golden[name + ".condition"].to(DType::u8);
    check_case(golden, name, {"a", "b"}, [&](const Inputs& in) { return where(condition, in[0], in[1]); });
  }
}

// ---- Reductions and layout. On the inputs' grid sums are exact, so the tolerance is 0.

using Reduction = Tensor (*)(const Tensor&, const Axes&, ReduceOptions);

void check_reduction(const std::string& name, Reduction f, const Tolerance& tolerance = {}) {
  static const GoldenFile golden("reduce");
  struct Case {
    std::string name;
    Axes axes;
    bool keepdim = false;
  };
  const Case cases[] = {{"_0", 0},
                        {"_2", 2},
                        {"_1_2", {1, 2}},
                        {"_0_2", {0, 2}},
                        {"_0_-1", {0, -1}},
                        {"_0_2_keepdim", {0, 2}, true},
                        {"_all", {0, 1, 2, 3}}};
  for (const Case& c : cases)
    check_case(
        golden, name + c.name, {"x"}, [&](const Inputs& in) { return f(in[0], c.axes, {.keepdim = c.keepdim}); },
        tolerance);
}

TEST_CASE("golden: sum, mean, max and min over one axis and several equal PyTorch's") {
  check_reduction("sum", sum);
  check_reduction("mean", mean, {.f64 = 1e-15, .f32 = 5e-7});  // two roundings
  check_reduction("max", max);
  check_reduction("min", min);
}

TEST_CASE("golden: the gradient of max and min goes to the first of equals, as that of PyTorch's max over one axis") {
  const GoldenFile golden("reduce");
  check_case(golden, "max_ties", {"x"}, [](const Inputs& in) { return max(in[0], 1); });
  check_case(golden, "min_ties", {"x"}, [](const Inputs& in) { return min(in[0], 1); });
}

TEST_CASE("golden: transpose and concat equal PyTorch's") {
  const GoldenFile golden("layout");
  const std::pair<int, int> axes[] = {{0, 1}, {0, 2}, {1, -1}, {-3, -2}, {2, 2}};
  for (const auto& [a, b] : axes)
    check_case(golden, "transpose_" + std::to_string(a) + "_" + std::to_string(b), {"x"},
               [a = a, b = b](const Inputs& in) { return transpose(in[0], a, b); });
  for (const int axis : {0, 1, -1})
    check_case(golden, "concat_" + std::to_string(axis), {"a", "b", "c"},
               [axis](const Inputs& in) { return concat(in, axis); });
}

TEST_CASE("golden: softmax equals PyTorch's, of numbers of 1000 too") {
  const GoldenFile golden("softmax");
  for (const std::string name : {"plain", "extreme"})
    check_case(golden, name, {"x"}, [](const Inputs& in) { return softmax(in[0]); },
               {.f64 = 1e-14, .f32 = 1e-6});  // a dozen roundings
}

}  // namespace
}  // namespace mixgrad
