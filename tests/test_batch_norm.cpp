// Batch norm: its statistics, and the ReLU behind it in one pass.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "mixgrad.h"
#include "op_cases.h"
#include "same.h"

using namespace mixgrad;
using namespace mixgrad::nn;
using mixgrad::test::largest_difference;
using mixgrad::test::normal;

TEST_CASE("batch norm: training uses the batch and moves the running statistics, evaluation uses those") {
  BatchNorm bn(2);
  const Tensor x = Tensor::from<float>({1, 2, 3, 6}, {2, 2});  // mean 2, 4; variance 1, 4, unbiased 2, 8
  const float one = 1 / std::sqrt(1 + 1e-5f), two = 2 / std::sqrt(4 + 1e-5f);
  const double rounding = 1e-6;  // a handful of f32 operations on values near 1
  CHECK(largest_difference(bn(x), Tensor::from({-one, -two, one, two}, {2, 2})) < rounding);
  CHECK(largest_difference(bn.running_mean, Tensor::from({0.2, 0.4}, {2})) < rounding);
  CHECK(largest_difference(bn.running_var, Tensor::from({0.9 + 0.2, 0.9 + 0.8}, {2})) < rounding);
  bn.eval();
  const auto scaled = [](double value, double mean, double var) { return (value - mean) / std::sqrt(var + 1e-5); };
  const Tensor expected =
      Tensor::from({scaled(1, 0.2, 1.1), scaled(2, 0.4, 1.7), scaled(3, 0.2, 1.1), scaled(6, 0.4, 1.7)}, {2, 2});
  CHECK(largest_difference(bn(x), expected) < 5 * rounding);  // values near 5
  CHECK(largest_difference(bn.running_mean, Tensor::from({0.2, 0.4}, {2})) < rounding);
  CHECK(bn(slice(x, 0, 1)).shape() == Shape{1, 2});
  bn.train();
  CHECK_THROWS_WITH_AS(bn(slice(x, 0, 1)), doctest::Contains("more than one value per channel"), Error);
}

TEST_CASE("batch norm: with an activation behind it in one pass it gives what the two give one after the other") {
  const std::pair<functions::Activation, Tensor (*)(const Tensor&)> all_activations[] = {
      {functions::Relu{}, relu}, {functions::Silu{}, silu}, {functions::Gelu{}, gelu}};
  for (const auto& both : all_activations)
    for (const bool training : {true, false}) {
      const auto result = [&](bool in_one_pass) {
        BatchNorm layer(3);
        layer.weight.detach().copy_(Tensor::from({1.5f, -0.5f, 1.0f}, {3}));
        layer.bias.detach().copy_(Tensor::from({0.1f, -0.2f, 0.0f}, {3}));
        layer.train(training);
        const Tensor x = normal({40, 3}).requires_grad_();
        const Tensor y = in_one_pass ? layer.forward_activated(x, both.first) : both.second(layer(x));
        sum(y * normal({40, 3})).backward();
        std::vector<double> all;
        for (const Tensor& tensor : {y, x.grad(), layer.weight.grad(), layer.bias.grad(), layer.running_var})
          for (const double value : tensor.to(DType::f64).to_vector<double>()) all.push_back(value);
        return all;
      };
      const auto fused = result(true), apart = result(false);
      REQUIRE(fused.size() == apart.size());
      if (both.first.index() == 1)
        CHECK(std::count(fused.begin(), fused.begin() + 120, 0.0) > 30);  // the kink is reached
      // The sums are taken in one order; a product and a sum may be rounded once or twice.
      for (std::size_t i = 0; i < fused.size(); ++i)
        CHECK(std::abs(fused[i] - apart[i]) <= 1e-5 * (1 + std::abs(apart[i])));
    }
}

TEST_CASE("batch norm: f32 stays accurate when the mean is far from zero") {
  const Tensor x = normal({4096, 3}) + 1000.0;
  BatchNorm single(3), exact(3);
  for (Tensor* tensor : {&exact.weight, &exact.bias, &exact.running_mean, &exact.running_var})
    *tensor = tensor->to(DType::f64);
  // The output is a difference of two numbers near 1000, each rounded to 6e-5, with a mean rounded to 3e-5. From
  // E[x^2] - E[x]^2, numbers near 10^6, the variance of 1 would be off by a tenth.
  CHECK(largest_difference(single(x), exact(x.to(DType::f64))) < 2e-4);
}

TEST_CASE("batch norm: variance and outputs do not depend on which row is far from the others") {
  for (const double mean : {100.0, 1000.0})
    for (const std::int64_t row : {0, 1, 5000, 9999}) {
      CAPTURE(mean);
      CAPTURE(row);
      Tensor x = normal({10000, 1}) + mean;
      x.mutable_data<float>()[row] = 0;
      BatchNorm single(1, {.momentum = 1}), exact(1, {.momentum = 1});
      for (Tensor* tensor : {&exact.weight, &exact.bias, &exact.running_mean, &exact.running_var})
        *tensor = tensor->to(DType::f64);
      const Tensor y = single(x), expected = exact(x.to(DType::f64));
      double sum = 0, squares = 0;
      for (const float value : x.to_vector<float>()) sum += static_cast<double>(value);
      for (const float value : x.to_vector<float>()) squares += std::pow(static_cast<double>(value) - sum / 1e4, 2);
      CHECK(exact.running_var.item() == doctest::Approx(squares / 9999).epsilon(1e-12));
      CHECK(single.running_var.item() == doctest::Approx(exact.running_var.item()).epsilon(1e-6));
      CHECK(single.running_mean.item() == doctest::Approx(exact.running_mean.item()).epsilon(1e-7));
      // Numbers near `mean`, and their mean, have an ulp of 2^-24 mean, which the deviation divides.
      CHECK(largest_difference(y, expected) < 4 * std::ldexp(mean, -24));
    }
}
