// The table of op cases, driven through every check; and operations against their definitions, written as plain loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <set>
#include <sstream>

#include "core/autograd.h"
#include "core/layout.h"
#include "core/log_softmax.h"
#include "core/matmul.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/view.h"
#include "nn/conv2d.h"
#include "op_cases.h"
#include "tests/not_finite.h"

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

// The largest |a - b| / (1 + |b|); infinite when a nan is on one side only or shapes differ.
double difference(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return infinity<double>;
  const auto x = a.to(DType::f64).to_vector<double>(), y = b.to(DType::f64).to_vector<double>();
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double error = std::abs(x[i] - y[i]) / (1 + std::abs(y[i]));
    if (std::isnan(x[i]) != std::isnan(y[i])) return infinity<double>;
    if (error > largest) largest = error;
  }
  return largest;
}

Tensor random_f64(const Shape& shape, std::uint64_t seed) {
  return make_inputs({shape}, Domain::normal, DType::f64, seed)[0];
}

struct Threads {  // that many while it lives
  explicit Threads(int n) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before = num_threads();
};

std::vector<std::vector<double>> bits_with(int threads, const OpCase& op, const Inputs& inputs) {
  const Threads limit(threads);
  const Evaluation result = evaluate(op, inputs);
  std::vector<std::vector<double>> bits{result.output.to_vector<double>()};
  for (const Tensor& gradient : result.gradients) bits.push_back(gradient.to_vector<double>());
  return bits;
}

}  // namespace

TEST_CASE("ops: every backward agrees with central differences") {
  for (const OpCase& op : op_cases()) {
    INFO(op.name);
    CHECK(gradcheck(op.f, make_inputs(op, DType::f64), op.gradcheck) == "");
  }
}

TEST_CASE("ops: f32 and f64 agree, in the output and in every gradient") {
  for (const OpCase& op : op_cases()) {
    INFO(op.name);
    const Evaluation single = evaluate(op, make_inputs(op, DType::f32));
    const Evaluation exact = evaluate(op, make_inputs(op, DType::f64));
    CHECK(difference(single.output, exact.output) <= op.f32_tolerance);
    for (std::size_t i = 0; i < exact.gradients.size(); ++i) {
      CAPTURE(i);
      CHECK(difference(single.gradients[i], exact.gradients[i]) <= op.f32_tolerance);
    }
  }
}

TEST_CASE("ops: one and two threads give the same bits, forward and backward") {
  for (const OpCase& op : op_cases()) {
    if (op.large.empty()) continue;
    INFO(op.name);
    const Inputs inputs = make_inputs(op.large, op.domain, DType::f32);
    CHECK(bits_with(2, op, inputs) == bits_with(1, op, inputs));
  }
}

TEST_CASE("ops: an extent of 0 is refused, or gives a result and gradients of the shapes that belong to it") {
  for (const OpCase& op : op_cases())
    for (const OpCase& empty : empty_cases(op)) {
      INFO(empty.name);
      const Inputs inputs = make_inputs(empty, DType::f32);
      try {
        const Evaluation evaluation = evaluate(empty, inputs);
        for (std::size_t i = 0; i < inputs.size(); ++i) CHECK(evaluation.gradients[i].shape() == inputs[i].shape());
      } catch (const Error& error) {
        CHECK(std::string(error.what()).size() > 10);
      }
    }
}

TEST_CASE("ops: names are unique, and the table reaches these operations") {
  std::set<std::string> names, ops;
  for (const OpCase& op : op_cases()) {
    CHECK_MESSAGE(names.insert(op.name).second, op.name);
    Inputs inputs = make_inputs(op, DType::f64);
    for (const Tensor& input : inputs) input.requires_grad_();
    std::vector<std::shared_ptr<Node>> open{op.f(inputs).node()};
    while (!open.empty()) {
      const auto node = open.back();
      open.pop_back();
      ops.insert(node->op);
      for (const auto& input : node->inputs)
        if (input) open.push_back(input);
    }
  }
  std::istringstream expected(
      "add sub mul div pow weighted neg abs sqrt exp log clamp relu leaky_relu tanh sigmoid softplus silu gelu where "
      "matmul sum "
      "mean max min to conv2d batch_norm batch_norm_relu cross_entropy log_softmax reshape slice transpose concat "
      "gather leaf");
  for (std::string op; expected >> op;) CHECK_MESSAGE(ops.count(op) == 1, op);
}

TEST_CASE("gradcheck: a wrong gradient is caught, a right one is not") {
  // x^2, whose gradient is 2 x grad, with that gradient replaced by wrong(x, grad)
  const auto square_with = [](auto wrong) {
    return [=](const Inputs& inputs) {
      const Tensor x = inputs[0];
      const Tensor y = no_grad([&] { return x * x; });
      record(y, "square", {x},
             [x = Saved(x), wrong](const Tensor& grad, Gradients& to) { to.add(0, wrong(*x, grad)); });
      return y;
    };
  };
  const Inputs x{Tensor::from({1.0, -2.0, 3.0, 0.5}, {4})};
  const auto report = [&](auto wrong) { return gradcheck(square_with(wrong), x); };
  CHECK(report([](const Tensor& x, const Tensor& grad) { return 2.0 * x * grad; }) == "");
  CHECK(report([](const Tensor& x, const Tensor& grad) { return x * grad; }) != "");
  CHECK(report([](const Tensor& x, const Tensor& grad) { return -2.0 * x * grad; }) != "");
  CHECK(report([](const Tensor& x, const Tensor& grad) { return 2.0001 * x * grad; }) != "");
  CHECK(report([](const Tensor& x, const Tensor& grad) {  // wrong in one element only
          const Tensor gradient = 2.0 * x * grad;
          gradient.mutable_data<double>()[2] += 0.01;
          return gradient;
        }) != "");
  const auto forgets_input_1 = [](const Inputs& in) { return in[0] * in[1].detach(); };
  const std::string text = gradcheck(forgets_input_1, {x[0], x[0]});
  CHECK(doctest::String(text.c_str()) == doctest::Contains("input 1"));
}

TEST_CASE("compare: every comparison, on every dtype, with broadcasting; a nan is unequal to all") {
  const auto bits = [](const Tensor& x) { return x.to_vector<std::uint8_t>(); };
  using Bits = std::vector<std::uint8_t>;
  const auto check_dtype = [&](DType dtype) {
    const Tensor a = Tensor::from<std::int32_t>({1, 2, 3}, {3}).to(dtype), two = Tensor::full({}, 2, a.options());
    CHECK(bits(less(a, two)) == Bits{1, 0, 0});
    CHECK(bits(less_equal(a, two)) == Bits{1, 1, 0});
    CHECK(bits(greater(a, two)) == Bits{0, 0, 1});
    CHECK(bits(greater_equal(a, two)) == Bits{0, 1, 1});
    CHECK(bits(equal(a, two)) == Bits{0, 1, 0});
    CHECK(bits(not_equal(a, two)) == Bits{1, 0, 1});
    CHECK(bits(two < a) == Bits{0, 0, 1});
    CHECK(bits(a >= 2.0) == Bits{0, 1, 1});
  };
  for (const DType dtype : {DType::f32, DType::f64, DType::i32, DType::u8}) check_dtype(dtype);
  const Tensor nan = Tensor::from({not_a_number<double>}, {1});
  for (const auto compare : {less, less_equal, greater, greater_equal, equal})
    CHECK(bits(compare(nan, nan)) == Bits{0});
  CHECK(bits(not_equal(nan, nan)) == Bits{1});
  const Tensor column = Tensor::from({0.0, 1.0}, {2, 1}), row = Tensor::from({0.0, 1.0, 2.0}, {3});
  CHECK(bits(column < row) == Bits{0, 1, 1, 0, 0, 1});
  CHECK_THROWS_WITH_AS(less(row, row.to(DType::f32)), "less: operands are f64[3] and f32[3]", Error);
  CHECK_THROWS_WITH_AS(where(row, row, row), "where: the condition is f64, not u8", Error);
}

TEST_CASE("pow and clamp: at the edges") {
  const Tensor x = Tensor::from({0.0, 0.0, 2.0, -2.0}, {4}).requires_grad_();
  const Tensor p = Tensor::from({0.0, 2.0, 0.0, 3.0}, {4}).requires_grad_();
  sum(pow(x, p)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 0, 0, 12});
  const auto dp = p.grad().to_vector<double>();
  CHECK(dp[0] == 0);
  CHECK(dp[1] == 0);
  CHECK(dp[2] == doctest::Approx(std::log(2.0)));
  CHECK(std::isnan(dp[3]));  // the logarithm of a negative base
  CHECK(clamp(Tensor::from({-1.0, 0.5, 2.0}, {3}), 0, 1).to_vector<double>() == std::vector<double>{0, 0.5, 1});
  const Tensor edges = Tensor::from({not_a_number<double>, 0.0, 1.0, -infinity<double>}, {4}).requires_grad_();
  const Tensor clamped = clamp(edges, 0, 1);
  CHECK(std::isnan(clamped.to_vector<double>()[0]));
  sum(clamped).backward();
  CHECK(edges.grad().to_vector<double>() == std::vector<double>{0, 1, 1, 0});
  CHECK_THROWS_WITH_AS(clamp(x, 1, 0), "clamp: needs low <= high, got 1 and 0", Error);
}

TEST_CASE("layout: transpose and concat place every element, and refuse what does not fit") {
  const Tensor x = Tensor::from<std::int32_t>({0, 1, 2, 3, 4, 5}, {2, 3});
  CHECK(transpose(x, 0, 1).to_vector<std::int32_t>() == std::vector<std::int32_t>{0, 3, 1, 4, 2, 5});
  CHECK(transpose(x, 1, 1).storage() != x.storage());  // a copy always
  CHECK(concat({x, x}, 0).shape() == Shape{4, 3});
  CHECK(concat({slice(x, 0, 1), slice(x, 1, 2)}, -1).to_vector<std::int32_t>() ==
        std::vector<std::int32_t>{0, 1, 2, 3, 4, 5});
  CHECK(concat({Tensor::zeros({2, 0}), Tensor::ones({2, 1})}, 1).shape() == Shape{2, 1});
  const Tensor wide = Tensor::zeros({std::int64_t{1} << 60, 0});
  CHECK_THROWS_WITH_AS(concat({wide, wide}, 0), doctest::Contains("more than 2^60 elements"), Error);
  CHECK_THROWS_WITH_AS(concat({x, Tensor::zeros({2, 4})}, 0), doctest::Contains("differ beyond axis 0"), Error);
  CHECK_THROWS_WITH_AS(concat(std::span<const Tensor>(), 0), "concat: no tensors", Error);
  CHECK_THROWS_WITH_AS(transpose(x, 0, 2), "transpose: axis 2 is out of range for [2, 3]", Error);
  CHECK_THROWS_WITH_AS(sum(x.to(DType::f32), {0, -2}), "sum: axis -2 of [2, 3] is given twice", Error);
}

TEST_CASE("broadcast: the elements paired are those that NumPy pairs") {
  struct Pair {
    Shape a, b, out;
  };
  for (const auto& [a_shape, b_shape, out_shape] :
       {Pair{{2, 3, 4}, {3, 1}, {2, 3, 4}}, Pair{{4, 1, 3}, {2, 1}, {4, 2, 3}}, Pair{{}, {2, 2}, {2, 2}},
        Pair{{2, 1, 3, 1, 2}, {1, 2, 1, 3, 1}, {2, 2, 3, 3, 2}}, Pair{{5}, {2, 1, 2, 1, 3, 1}, {2, 1, 2, 1, 3, 5}},
        Pair{{0, 3}, {3}, {0, 3}}, Pair{{1, 3}, {0, 1}, {0, 3}}}) {
    const Tensor a = random_f64(a_shape, 1), b = random_f64(b_shape, 2), out = sub(a, b);
    CAPTURE(a.shape());
    CAPTURE(b.shape());
    REQUIRE(out.shape() == out_shape);
    // The place in x of the element that the n-th of `out` reads: an index along a stretched axis counts as 0.
    const auto element = [&](const Tensor& x, std::int64_t n) {
      std::int64_t place = 0, size = 1;
      for (int axis = 1; axis <= out.rank(); ++axis) {
        if (axis <= x.rank() && x.size(-axis) != 1) place += n % out.size(-axis) * size;
        if (axis <= x.rank()) size *= x.size(-axis);
        n /= out.size(-axis);
      }
      return x.data<double>()[place];
    };
    for (std::int64_t n = 0; n < out.numel(); ++n) CHECK(out.data<double>()[n] == element(a, n) - element(b, n));
  }
}

TEST_CASE("conv2d: equals the sum that defines it") {
  struct Case {
    Shape x, w;
    std::int64_t stride, padding;
  };
  for (const auto& [x_shape, w_shape, stride, padding] :
       {Case{{2, 5, 6, 3}, {4, 3, 3, 3}, 1, 0}, Case{{1, 7, 4, 2}, {3, 3, 2, 2}, 2, 1},
        Case{{2, 6, 5, 1}, {2, 5, 5, 1}, 3, 2}, Case{{1, 28, 28, 3}, {16, 3, 3, 3}, 2, 1}}) {
    const Tensor x = random_f64(x_shape, 1), w = random_f64(w_shape, 2), b = random_f64({w_shape[0]}, 3);
    CAPTURE(x.shape());
    const Tensor y = nn::conv2d(x, w, b, {.stride = stride, .padding = padding});
    const std::int64_t height = (x.size(1) + 2 * padding - w.size(1)) / stride + 1;
    const std::int64_t width = (x.size(2) + 2 * padding - w.size(2)) / stride + 1;
    REQUIRE(y.shape() == Shape{x.size(0), height, width, w.size(0)});
    const auto at = [](const Tensor& t, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) {
      return t.data<double>()[((i * t.size(1) + j) * t.size(2) + k) * t.size(3) + l];
    };
    double worst = 0;
    for (std::int64_t n = 0; n < x.size(0); ++n)
      for (std::int64_t i = 0; i < height; ++i)
        for (std::int64_t j = 0; j < width; ++j)
          for (std::int64_t o = 0; o < w.size(0); ++o) {
            double sum = b.data<double>()[o];
            for (std::int64_t u = 0; u < w.size(1); ++u)
              for (std::int64_t v = 0; v < w.size(2); ++v)
                for (std::int64_t c = 0; c < w.size(3); ++c) {
                  const std::int64_t row = i * stride + u - padding, column = j * stride + v - padding;
                  if (row >= 0 && row < x.size(1) && column >= 0 && column < x.size(2))
                    sum += at(x, n, row, column, c) * at(w, o, u, v, c);
                }
            const double error = std::abs(sum - at(y, n, i, j, o));
            worst = std::isnan(error) ? INFINITY : std::max(worst, error);  // max alone would pass over a nan
          }
    CHECK(worst < 1e-13);  // 27 or so products, each rounded to 1e-16
  }
}

TEST_CASE("matmul: equals the sum that defines it, transposed or not") {
  for (const auto& [m, n, k] : {std::tuple{3, 4, 5}, std::tuple{130, 7, 300}, std::tuple{7, 130, 300}}) {
    const Tensor a = random_f64({m, k}, 1), b = random_f64({k, n}, 2), y = matmul(a, b);
    const Tensor a_transposed = Tensor::empty({k, m}, a.options()), b_transposed = Tensor::empty({n, k}, a.options());
    const Tensor expected = Tensor::zeros({m, n}, a.options());
    for (int p = 0; p < k; ++p) {
      for (int i = 0; i < m; ++i) a_transposed.mutable_data<double>()[p * m + i] = a.data<double>()[i * k + p];
      for (int j = 0; j < n; ++j) b_transposed.mutable_data<double>()[j * k + p] = b.data<double>()[p * n + j];
      for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j)
          expected.mutable_data<double>()[i * n + j] += a.data<double>()[i * k + p] * b.data<double>()[p * n + j];
    }
    const double rounding = 1e-13;  // 300 products near 1, each rounded to 1e-16
    CHECK(difference(y, expected) < rounding);
    CHECK(difference(matmul(a_transposed, b, {.transpose_a = true}), expected) < rounding);
    CHECK(difference(matmul(a, b_transposed, {.transpose_b = true}), expected) < rounding);
    CHECK(difference(matmul(a_transposed, b_transposed, {.transpose_a = true, .transpose_b = true}), expected) <
          rounding);
  }
}

TEST_CASE("matmul: a matrix may be empty; an empty sum is zero") {
  const auto product = [](std::int64_t m, std::int64_t k, std::int64_t n) {
    return matmul(Tensor::ones({m, k}), Tensor::ones({k, n}));
  };
  CHECK(product(0, 3, 2).shape() == Shape{0, 2});
  CHECK(product(2, 3, 0).shape() == Shape{2, 0});
  CHECK(product(2, 0, 2).to_vector<float>() == std::vector<float>(4, 0.0f));
  CHECK(product(0, 3, 0).shape() == Shape{0, 0});
}

TEST_CASE("reductions: known values along each axis") {
  const Tensor x = Tensor::from<float>({1, 5, 3, 4, 2, 6}, {2, 3});
  CHECK(sum(x, 0).to_vector<float>() == std::vector<float>{5, 7, 9});
  CHECK(sum(x, -1).to_vector<float>() == std::vector<float>{9, 12});
  CHECK(mean(x, 1, {.keepdim = true}).shape() == Shape{2, 1});
  CHECK(mean(x, 1).to_vector<float>() == std::vector<float>{3, 4});
  CHECK(max(x, 0).to_vector<float>() == std::vector<float>{4, 5, 6});
  CHECK(argmax(x, 1).to_vector<std::int32_t>() == std::vector<std::int32_t>{1, 2});
  CHECK(sum(x).item() == 21);
  CHECK(mean(x).item() == 3.5);
  CHECK(max(x).item() == 6);
  CHECK(max(x).shape() == Shape{});
  CHECK(sum(Tensor::zeros({0, 3}), 0).to_vector<float>() == std::vector<float>(3, 0.0f));
  CHECK(sum(Tensor::full({3, 200000}, 0.5), 1).to_vector<float>() == std::vector<float>(3, 100000.0f));
  CHECK(sum(Tensor::full({200000, 3}, 0.5), 0).to_vector<float>() == std::vector<float>(3, 100000.0f));
}

TEST_CASE("clamp: the derivative at a bound is 1") {
  const Tensor x = Tensor::from({-2.0, -1.0, 0.0, 3.0, 4.0}, {5}).requires_grad_();
  sum(clamp(x, -1, 3)).backward();
  CHECK(x.grad().to_vector<double>() == std::vector<double>{0, 1, 1, 1, 0});
}

TEST_CASE("pow: the derivative in the exponent is 0 where the base is 0") {
  const Tensor base = Tensor::from({0.0, 0.0}, {2}), exponent = Tensor::from({-1.0, 0.0}, {2}).requires_grad_();
  sum(pow(base, exponent)).backward();
  CHECK(exponent.grad().to_vector<double>() == std::vector<double>{0, 0});
}

TEST_CASE("mean: of equal numbers is that number, whatever their count") {
  for (const std::int64_t n : {3, 6, 7, 49, 100})
    for (const DType dtype : {DType::f32, DType::f64})
      CHECK(mean(Tensor::full({n}, 1000, {.dtype = dtype})).item() == 1000);
}

TEST_CASE("softplus, sigmoid and gelu: far from 0, as computed to 17 digits") {
  struct Point {
    Tensor (*f)(const Tensor&);
    double x, y;
    double f32_tolerance = 1e-6;  // relative; a few roundings
  };
  const Point points[] = {{softplus, 100, 100},
                          {softplus, 20.5, 20.500000001250153},
                          {softplus, -20.5, 1.2501528656053015e-9},
                          {softplus, -80, 1.8048513878454152e-35},
                          {sigmoid, -80, 1.8048513878454152e-35},
                          {sigmoid, -20.5, 1.2501528648238604e-9},
                          {sigmoid, 100, 1},
                          // A rounding of x / sqrt 2 grows by x^2.
                          {gelu, -5, -1.4332578593959696e-6, 5e-6},
                          {gelu, -10, -7.6198530241605261e-23, 1e-5}};
  for (const Point& point : points) {
    CAPTURE(point.x);
    const double bound = std::abs(point.y);
    CHECK(std::abs(point.f(Tensor::full({}, point.x, {.dtype = DType::f64})).item() - point.y) <= 2e-14 * bound);
    CHECK(std::abs(point.f(Tensor::full({}, point.x)).item() - point.y) <= point.f32_tolerance * bound);
  }
  for (const double x : {-100.0, -1e30, -infinity<double>}) {  // below all that f32 holds
    CHECK(softplus(Tensor::full({}, x)).item() <= 1e-43);
    CHECK(sigmoid(Tensor::full({}, x)).item() <= 1e-43);
  }
}

TEST_CASE("ops: at ties, poles and infinities") {
  const Tensor tied = Tensor::from({2.0, 7.0, 7.0, 1.0}, {4}).requires_grad_();
  max(tied, 0).backward();
  CHECK(tied.grad().to_vector<double>() == std::vector<double>{0, 1, 0, 0});  // the first of equal maxima
  const Tensor at_kink = Tensor::from({0.0, -1.0, 2.0}, {3}).requires_grad_();
  sum(relu(at_kink)).backward();
  CHECK(at_kink.grad().to_vector<double>() == std::vector<double>{0, 0, 1});

  CHECK(std::isnan(relu(Tensor::full({}, not_a_number<double>)).item()));
  CHECK(std::isnan(max(Tensor::from({1.0, not_a_number<double>, 3.0}, {3})).item()));
  CHECK(div(Tensor::ones({}), Tensor::zeros({})).item() == infinity<double>);
  CHECK(log(Tensor::zeros({})).item() == -infinity<double>);
  CHECK(std::isnan(log(Tensor::full({}, -1)).item()));
  // exp(1000) overflows; the logarithm of its share does not.
  CHECK(log_softmax(Tensor::from<float>({1000, 0, -1000}, {3})).to_vector<float>() ==
        std::vector<float>{0, -1000, -2000});
}

TEST_CASE("parallel: operations called inside the caller's own parallel region keep to their own memory") {
  const Inputs inputs = make_inputs({{8, 9, 9, 3}, {4, 3, 3, 3}, {4}}, Domain::normal, DType::f32);
  const auto run = [&] { return no_grad([&] { return nn::conv2d(inputs[0], inputs[1], inputs[2]); }); };
  const auto expected = run().to_vector<float>();
  for (const int threads : {1, 4}) {
    const Threads there_are(threads);
    std::array<std::vector<float>, 4> results;
#pragma omp parallel for num_threads(4)
    for (int i = 0; i < 4; ++i) results[static_cast<std::size_t>(i)] = run().to_vector<float>();
    for (const auto& result : results) CHECK(result == expected);
  }
}

TEST_CASE("matmul: products that pack rows and split the depth are exact for whole numbers, transposed or not") {
  const auto value = [](std::int64_t i, std::int64_t j) { return static_cast<float>((i * 7 + j * 13) % 9 - 4); };
  constexpr std::int64_t n = 259, k = 401;
  for (const std::int64_t m : {29, 290})  // few rows, and more
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        std::vector<float> a, b, expected;
        for (std::int64_t i = 0; i < (ta ? k : m); ++i)
          for (std::int64_t j = 0; j < (ta ? m : k); ++j) a.push_back(ta ? value(j, i) : value(i, j));
        for (std::int64_t i = 0; i < (tb ? n : k); ++i)
          for (std::int64_t j = 0; j < (tb ? k : n); ++j) b.push_back(tb ? value(j + 1, i) : value(i + 1, j));
        for (std::int64_t i = 0; i < m; ++i)
          for (std::int64_t j = 0; j < n; ++j) {
            float sum = 0;
            for (std::int64_t l = 0; l < k; ++l) sum += value(i, l) * value(l + 1, j);
            expected.push_back(sum);
          }
        const Tensor x = Tensor::from(a, {ta ? k : m, ta ? m : k}), y = Tensor::from(b, {tb ? n : k, tb ? k : n});
        CHECK(matmul(x, y, {.transpose_a = ta, .transpose_b = tb}).to_vector<float>() == expected);
        const Threads one(1);
        CHECK(matmul(x, y, {.transpose_a = ta, .transpose_b = tb}).to_vector<float>() == expected);
      }
}

TEST_CASE("argmax: of long rows and of columns the first of the largest, or the first nan") {
  constexpr std::int64_t n = 40'000;
  for (const std::int64_t at : {0, 3, 255, 16'384, 39'999})
    for (const float largest : {2.0f, std::nanf("")}) {
      std::vector<float> x(n, 1.0f);
      for (std::int64_t i = at; i < n; i += 5'000) x[static_cast<std::size_t>(i)] = largest;
      CHECK(argmax(Tensor::from(x, {1, n}), 1).to_vector<std::int32_t>()[0] == at);
      CHECK(argmax(Tensor::from(x, {n / 2, 2}), 0).to_vector<std::int32_t>()[static_cast<std::size_t>(at % 2)] ==
            at / 2);
    }
}

TEST_CASE("max and min: of long rows the first of infinities, which sum to nan") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  constexpr std::int64_t n = 3'000;
  for (const std::int64_t at : {0, 130, 1'024, 2'999}) {
    std::vector<float> x(n, -infinity);
    CHECK(argmax(Tensor::from(x, {1, n}), 1).item() == 0);
    x[static_cast<std::size_t>(at)] = infinity;
    CHECK(argmax(Tensor::from(x, {1, n}), 1).item() == at);
    const Tensor leaf = Tensor::from(x, {n}).requires_grad_(), least = min(leaf);
    CHECK(least.item() == -infinity);
    least.backward();
    CHECK(leaf.grad().to_vector<float>()[at == 0] == 1);
  }
}
