// Long sums in f32: as exact as few numbers' are, whatever their number, and wherever something is summed.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <vector>

#include "core/index.h"
#include "core/log_softmax.h"
#include "core/matmul.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/view.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/cross_entropy.h"
#include "nn/loss.h"
#include "nn/pool.h"

using namespace mixgrad;

namespace {

constexpr double sum_tolerance = 1e-6;      // eight additions in f32 at a time: 5e-7
constexpr double product_tolerance = 4e-6;  // some 200 products in a register: of equal ones, 3e-6

const double tenth = static_cast<double>(0.1f);

// The largest |x_i / expected - 1|; of a nan, infinity.
double worst(const Tensor& x, double expected) {
  double largest = 0;
  for (const double value : x.to(cpu).to(DType::f64).to_vector<double>()) {
    const double error = std::abs(value / expected - 1);
    largest = std::isnan(error) ? INFINITY : std::max(largest, error);  // max alone would pass over a nan
  }
  return largest;
}

Tensor tenths(const Shape& shape, Device device = cpu) { return Tensor::full(shape, tenth, {.device = device}); }

Tensor gradient(const Tensor& x, const std::function<Tensor(const Tensor&)>& f) {
  x.requires_grad_();
  sum(f(x)).backward();
  return x.grad();
}

void check_sums(Device device, std::int64_t scale) {
  for (const Shape& shape : {Shape{scale * 10, 1}, {scale * 3, 3}, {scale, 10}, {scale / 50, 500}}) {
    CAPTURE(shape);
    const Tensor x = tenths(shape, device);
    const auto rows = static_cast<double>(shape[0]), columns = static_cast<double>(shape[1]);
    CHECK(worst(sum(x), rows * columns * tenth) < sum_tolerance);
    CHECK(worst(mean(x), tenth) < sum_tolerance);
    CHECK(worst(sum(x, 0), rows * tenth) < sum_tolerance);
    CHECK(worst(sum(reshape(x, {shape[1], shape[0]}), 1), rows * tenth) < sum_tolerance);
    const Tensor row = tenths({shape[1]}, device);  // the gradient of broadcasting
    CHECK(worst(gradient(row, [&](const Tensor& r) { return x * r; }), rows * tenth) < sum_tolerance);
  }
}

void check_losses(Device device, std::int64_t samples) {
  for (const std::int64_t classes : {1000, 10000}) {
    CAPTURE(classes);
    const double exact = std::log(static_cast<double>(classes));
    const Tensor logits = tenths({3, classes}, device);
    const Tensor y = Tensor::from<std::int32_t>({0, 7, 999}, {3}).to(device);
    const Tensor dense = one_hot(y, classes, DType::f32);
    for (const double smoothing : {0.0, 0.1}) {
      const nn::Loss loss = nn::cross_entropy_with({.label_smoothing = smoothing});
      CHECK(worst(loss(logits, y), exact) < sum_tolerance);
      CHECK(worst(loss(logits, dense), exact) < sum_tolerance);
    }
    CHECK(worst(log_softmax(logits), -exact) < sum_tolerance);
    CHECK(worst(softmax(logits), 1 / static_cast<double>(classes)) < 10 * sum_tolerance);  // exp(-9) of it: times nine
    // d log_softmax(x)_i = dy_i - softmax_i sum(dy) is 0 here, but for the roundings of two numbers near 1.
    for (const float value : gradient(logits, log_softmax).to(cpu).to_vector<float>())
      CHECK(std::abs(value) < 2 * sum_tolerance);
  }
  const Tensor many = tenths({samples, 2}, device), zero = Tensor::zeros({samples, 2}, {.device = device});
  CHECK(worst(nn::mse(many, zero), tenth * tenth) < sum_tolerance);
  CHECK(worst(nn::l1(many, zero), tenth) < sum_tolerance);
  CHECK(worst(nn::bce_with_logits(zero, many), std::log(2.0)) < sum_tolerance);
}

void check_products(Device device, std::int64_t depth) {
  const double exact = static_cast<double>(depth) * tenth * tenth;
  for (const std::array<std::int64_t, 2> size : {std::array<std::int64_t, 2>{1, 1}, {3, 20}, {20, 3}, {33, 17}}) {
    const std::int64_t m = size[0], n = size[1];
    CAPTURE(m);
    CHECK(worst(matmul(tenths({m, depth}, device), tenths({depth, n}, device)), exact) < product_tolerance);
    CHECK(worst(matmul(tenths({depth, m}, device), tenths({n, depth}, device),
                       {.transpose_a = true, .transpose_b = true}),
                exact) < product_tolerance);
  }
}

// The gradients of weights and biases of convolutions over a large image.
void check_convolutions(Device device, std::int64_t height, std::int64_t width) {
  struct Case {
    std::int64_t in, out, groups, kernel_size;
  };
  for (const Case& c : {Case{1, 1, 1, 1}, {2, 20, 1, 1}, {8, 8, 1, 1}, {3, 3, 3, 1}, {1, 1, 1, 4}}) {
    const std::int64_t in = c.in, out = c.out, groups = c.groups, kernel = c.kernel_size;
    CAPTURE(in);
    CAPTURE(out);
    CAPTURE(groups);
    const Tensor x = tenths({2, height, width, in}, device), bias = Tensor::zeros({out}, {.device = device});
    const Tensor weight = tenths({out, kernel, kernel, in / groups}, device);
    bias.requires_grad_();
    const Tensor dweight = gradient(weight, [&](const Tensor& w) {
      const Tensor y = nn::conv2d(x, w, bias, {.kernel_size = kernel, .groups = groups});
      return y * Tensor::full({}, tenth, y.options());
    });
    const auto positions = static_cast<double>(2 * (height - kernel + 1) * (width - kernel + 1));
    CHECK(worst(dweight, positions * tenth * tenth) < product_tolerance);
    CHECK(worst(bias.grad(), positions * tenth) < (device == cpu ? sum_tolerance : product_tolerance));
  }
}

void check_others(Device device, std::int64_t n) {
  const Tensor image = tenths({1, n, n, 1}, device);
  CHECK(worst(nn::avg_pool2d(image, n), tenth) < sum_tolerance);
  CHECK(worst(nn::global_avg_pool(image), tenth) < sum_tolerance);
  const Tensor zeros = Tensor::from(std::vector<std::int32_t>(static_cast<std::size_t>(n * n), 0), {n * n}).to(device);
  const Tensor rows_gradient =
      gradient(tenths({1, 2}, device), [&](const Tensor& table) { return gather(table, zeros) * tenths({1}, device); });
  CHECK(worst(rows_gradient, static_cast<double>(n * n) * tenth) < sum_tolerance);
  // The pixel in the middle is in all 900 windows.
  const auto middle_gradient = [&](auto pool) {
    Tensor x = Tensor::zeros({1, 59, 59, 1}, {.device = cpu});
    x.mutable_data<float>()[29 * 59 + 29] = 1;
    return max(
        gradient(x.to(device), [&](const Tensor& y) { return pool(y, 30, {.stride = 1}) * tenths({1}, device); }));
  };
  CHECK(worst(middle_gradient(nn::avg_pool2d), tenth) < sum_tolerance);
  CHECK(worst(middle_gradient(nn::max_pool2d), 900 * tenth) < sum_tolerance);
}

// Batch norm's sums: the gradients of weight and bias of n rows, of which the first half is 1 and the other -1.
void check_batch_norm(Device device, std::int64_t n) {
  std::vector<float> values(static_cast<std::size_t>(n), 1.0f);
  std::fill(values.begin() + n / 2, values.end(), -1.0f);
  const Tensor x = Tensor::from(values, {n, 1}).to(device), factor = tenths({1}, device);
  nn::BatchNorm of_weight(1, {.eps = 0}), of_bias(1);
  of_weight.to(device);
  of_bias.to(device);
  sum(of_weight(x) * x * factor).backward();
  CHECK(worst(of_weight.weight.grad(), static_cast<double>(n) * tenth) < sum_tolerance);
  sum(of_bias(x) * factor).backward();
  CHECK(worst(of_bias.bias.grad(), static_cast<double>(n) * tenth) < sum_tolerance);
}

}  // namespace

TEST_CASE(
    "sums: of everything, of rows and of columns, are off by no more than a few roundings however long they are") {
  check_sums(cpu, 1000000);
}

TEST_CASE("sums: losses and softmax of thousands of classes, and of very many samples, keep their digits") {
  check_losses(cpu, 100000);
}

TEST_CASE("sums: of any number of rows and of columns, exact for whole numbers") {
  for (const std::int64_t rows : {1, 7, 8, 9, 33, 300})
    for (const std::int64_t columns : {1, 2, 5, 8, 13, 16, 31, 63, 64, 65, 100, 130}) {
      CAPTURE(rows);
      CAPTURE(columns);
      std::vector<float> x, of_rows(static_cast<std::size_t>(rows)), of_columns(static_cast<std::size_t>(columns));
      for (std::int64_t i = 0; i < rows * columns; ++i) {
        x.push_back(static_cast<float>(i * 7919 % 1000));
        of_rows[static_cast<std::size_t>(i / columns)] += x.back();
        of_columns[static_cast<std::size_t>(i % columns)] += x.back();
      }
      for (const DType dtype : {DType::f32, DType::f64}) {
        const Tensor matrix = Tensor::from(x, {rows, columns}).to(dtype);
        CHECK(sum(matrix, 1).to(DType::f32).to_vector<float>() == of_rows);
        CHECK(sum(matrix, 0).to(DType::f32).to_vector<float>() == of_columns);
      }
    }
}

TEST_CASE("sums: of positive numbers of all sizes, too") {
  std::vector<float> values;
  double exact = 0;
  for (std::size_t i = 0; i < 1000003; ++i) {
    values.push_back(std::exp2(static_cast<float>(i * 7919 % 40)));
    exact += static_cast<double>(values.back());
  }
  CHECK(worst(sum(Tensor::from(values, {std::ssize(values)})), exact) < sum_tolerance);
}

TEST_CASE("sums: a matrix product over 300,000 keeps its digits, and so do the weights' gradients of convolutions") {
  check_products(cpu, 300000);
  check_convolutions(cpu, 300, 500);
}

TEST_CASE("sums: pooling over large windows, gathering one row, batch norm") {
  check_others(cpu, 600);
  check_batch_norm(cpu, 1000000);
}

#ifdef MIXGRAD_WITH_CUDA

TEST_CASE("sums: on cuda as well") {
  check_sums(cuda, 5000);
  check_losses(cuda, 3000);
  check_products(cuda, 5000);
  CHECK(worst(matmul(tenths({1, 300000}, cuda), tenths({300000, 1}, cuda)), 3e5 * tenth * tenth) < product_tolerance);
  check_convolutions(cuda, 90, 100);
  check_others(cuda, 60);
  check_batch_norm(cuda, 10000);
}

#endif
