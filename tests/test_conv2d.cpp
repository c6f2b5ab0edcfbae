// The CPU's fast paths: the convolution's (nn/conv2d_cpu/paths.h) against the reference, the product by tiles in f32
// (core/gemm.h) against Eigen's in f64; and groups against a convolution of all channels.

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "core/autograd.h"
#include "core/gemm.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/unary.h"
#include "core/view.h"
#include "nn/conv2d_cpu/paths.h"
#include "nn/conv2d_reference.h"

using namespace mixgrad;

namespace {

// Small whole numbers: every sum of products is exact in f32 as well.
Tensor whole_numbers(const Shape& shape, std::mt19937& random) {
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (double& value : values) value = static_cast<double>(random() % 7) - 3;
  return Tensor::from(values, shape);
}

struct Results {
  std::vector<double> y, dx, dweight, dbias;
  bool operator==(const Results&) const = default;
};

// By the reference, with a ReLU behind it unless told otherwise.
template <class T>
Results reference_results(const Tensor& x64, const Tensor& w64, const Tensor& b64, const Tensor& dy64,
                          const nn::Conv2dOptions& options, bool with_relu = true) {
  const auto numbers = [](const Tensor& t) { return t.to(dtype_of<T>()).template to_vector<T>(); };
  const kernels::Conv2dShape shape{{.batch = x64.size(0),
                                    .height = x64.size(1),
                                    .width = x64.size(2),
                                    .kernel_height = w64.size(1),
                                    .kernel_width = w64.size(2),
                                    .stride = options.stride,
                                    .padding = options.padding,
                                    .out_height = dy64.size(1),
                                    .out_width = dy64.size(2)},
                                   x64.size(3),
                                   w64.size(0),
                                   options.groups,
                                   false};
  const std::vector<T> x = numbers(x64), w = numbers(w64), bias = numbers(b64);
  std::vector<T> y(static_cast<std::size_t>(dy64.numel())), dy = numbers(dy64), dx(x.size()), dw(w.size());
  reference::conv2d(shape, x.data(), w.data(), bias.data(), y.data());
  std::vector<double> dbias(bias.size());
  for (std::size_t i = 0; i < y.size(); ++i) {
    if (with_relu && y[i] <= 0) y[i] = dy[i] = 0;
    dbias[i % bias.size()] += static_cast<double>(dy[i]);
  }
  reference::conv2d_input_gradient(shape, w.data(), dy.data(), dx.data());
  reference::conv2d_weight_gradient(shape, x.data(), dy.data(), dw.data());
  return {{y.begin(), y.end()}, {dx.begin(), dx.end()}, {dw.begin(), dw.end()}, dbias};
}

Results results(DType dtype, bool fused, const Tensor& x64, const Tensor& w64, const Tensor& b64, const Tensor& dy64,
                const nn::Conv2dOptions& options) {
  const auto leaf = [&](const Tensor& value) {
    Tensor copy = value.to(dtype).clone();
    copy.requires_grad_();
    return copy;
  };
  const Tensor x = leaf(x64), w = leaf(w64), b = leaf(b64);
  const Tensor y = fused ? nn::conv2d_relu(x, w, b, options) : relu(nn::conv2d(x, w, b, options));
  sum(y * dy64.to(dtype)).backward();
  const auto numbers = [](const Tensor& t) { return t.detach().to(DType::f64).to_vector<double>(); };
  return {numbers(y), numbers(x.grad()), numbers(w.grad()), numbers(b.grad())};
}

}  // namespace

TEST_CASE("conv2d: the result and all gradients are those of the reference, on random shapes") {
  std::mt19937 random(7);
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int trial = 0; trial < 150; ++trial) {
    const nn::Conv2dOptions options{.stride = between(1, 3), .padding = between(0, 2)};
    const std::int64_t kh = between(1, 5), kw = between(1, 5), in = between(1, trial % 3 == 0 ? 70 : 9);
    const std::int64_t out = between(1, trial % 4 == 0 ? 70 : 20);
    const std::int64_t height = between(std::max<std::int64_t>(kh - 2 * options.padding, 1), 15);
    const std::int64_t width = between(std::max<std::int64_t>(kw - 2 * options.padding, 1), trial % 5 == 0 ? 70 : 20);
    const Tensor x = whole_numbers({between(1, 5), height, width, in}, random);
    const Tensor weight = whole_numbers({out, kh, kw, in}, random), bias = whole_numbers({out}, random);
    const Tensor dy = whole_numbers(nn::conv2d(x, weight, bias, options).shape(), random);
    CAPTURE(x.shape());
    CAPTURE(weight.shape());
    CAPTURE(options.stride);
    CAPTURE(options.padding);
    const Results expected = reference_results<double>(x, weight, bias, dy, options);
    CHECK(reference_results<float>(x, weight, bias, dy, options) == expected);
    for (const DType dtype : {DType::f32, DType::f64})
      for (const bool fused : {false, true}) {
        const Results actual = results(dtype, fused, x, weight, bias, dy, options);
        CHECK(actual.y == expected.y);
        CHECK(actual.dx == expected.dx);
        CHECK(actual.dweight == expected.dweight);
        CHECK(actual.dbias == expected.dbias);
      }
  }
}

TEST_CASE("conv2d: in groups, all is that of one group whose weights across groups are 0, on random shapes") {
  std::mt19937 random(8);
  const auto between = [&](std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int trial = 0; trial < 100; ++trial) {
    const nn::Conv2dOptions options{
        .stride = between(1, 3), .padding = between(0, 2), .groups = between(2, trial % 2 == 0 ? 40 : 4)};
    const bool depthwise = trial % 4 == 0;
    const std::int64_t group_in = depthwise ? 1 : between(1, 5), group_out = depthwise ? 1 : between(1, 5);
    const std::int64_t kh = between(1, 4), kw = between(1, 4), patch = kh * kw * group_in;
    const std::int64_t in = group_in * options.groups, out = group_out * options.groups;
    const std::int64_t height = between(std::max<std::int64_t>(kh - 2 * options.padding, 1), 9);
    const std::int64_t width = between(std::max<std::int64_t>(kw - 2 * options.padding, 1), depthwise ? 45 : 9);
    const Tensor x = whole_numbers({between(1, 4), height, width, in}, random);
    const Tensor weight = whole_numbers({out, kh, kw, group_in}, random), bias = whole_numbers({out}, random);
    const Tensor dy = whole_numbers(nn::conv2d(x, weight, bias, options).shape(), random);
    CAPTURE(x.shape());
    CAPTURE(weight.shape());
    CAPTURE(options.stride);
    CAPTURE(options.padding);
    // Number i of the weights in groups stands at place(i) of all.
    const auto place = [&](std::int64_t i) {
      return i / group_in * in + i / patch / group_out * group_in + i % group_in;
    };
    std::vector<double> all(static_cast<std::size_t>(out * kh * kw * in), 0.0);
    for (std::int64_t i = 0; i < weight.numel(); ++i)
      all[static_cast<std::size_t>(place(i))] = weight.data<double>()[i];
    nn::Conv2dOptions in_one = options;
    in_one.groups = 1;
    Results expected = results(DType::f32, false, x, Tensor::from(all, {out, kh, kw, in}), bias, dy, in_one);
    std::vector<double> dweight;
    for (std::int64_t i = 0; i < weight.numel(); ++i)
      dweight.push_back(expected.dweight[static_cast<std::size_t>(place(i))]);
    CHECK(reference_results<double>(x, weight, bias, dy, options) ==
          Results{expected.y, expected.dx, dweight, expected.dbias});
    for (const DType dtype : {DType::f32, DType::f64})
      for (const bool fused : {false, true}) {
        const Results actual = results(dtype, fused, x, weight, bias, dy, options);
        CHECK(actual.y == expected.y);
        CHECK(actual.dx == expected.dx);
        CHECK(actual.dweight == dweight);
        CHECK(actual.dbias == expected.dbias);
      }
  }
}

namespace {

// A convolution that Winograd's filtering takes: odd and even sizes, channels that are and are not whole vectors.
struct WinogradCase {
  nn::Conv2dOptions options;
  Shape x, weight, y;

  explicit WinogradCase(std::mt19937& random, std::int64_t least_batch = 1) {
    const auto one_of = [&](std::initializer_list<std::int64_t> values) {
      return values.begin()[random() % values.size()];
    };
    const auto between = [&](std::int64_t low, std::int64_t high) {
      return low + static_cast<std::int64_t>(random() % static_cast<unsigned>(high - low + 1));
    };
    options.padding = between(0, 2);
    options.groups = one_of({1, 1, 1, 2});
    // Few on one side, several blocks, sums of more than a chain's length.
    const std::int64_t in = one_of({16, 31, 32, 33, 40, 48, 64, 70, 130, 200}),
                       out = one_of(in < 32 ? std::initializer_list<std::int64_t>{32, 35, 64}
                                            : std::initializer_list<std::int64_t>{16, 31, 33, 40, 48, 64, 70, 200});
    const std::int64_t least = options.padding == 0 ? 4 : 3;
    x = {between(least_batch, 5), between(least, 12), between(least, 12), in * options.groups};
    weight = {out * options.groups, 3, 3, in};
    y = {x[0], x[1] + 2 * options.padding - 2, x[2] + 2 * options.padding - 2, weight[0]};
    CHECK(kernels::by_winograd({{.batch = x[0],
                                 .height = x[1],
                                 .width = x[2],
                                 .kernel_height = 3,
                                 .kernel_width = 3,
                                 .stride = 1,
                                 .padding = options.padding,
                                 .out_height = y[1],
                                 .out_width = y[2]},
                                in,
                                out,
                                1,
                                false}));
  }
};

Tensor normal_numbers(const Shape& shape, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (double& value : values) value = normal(random);  // an f32 number
  return Tensor::from(values, shape);
}

}  // namespace

TEST_CASE("conv2d: by Winograd's filtering, whole numbers give the reference's results bit for bit") {
  std::mt19937 random(12);
  for (int trial = 0; trial < 24; ++trial) {
    const WinogradCase c(random);
    CAPTURE(c.x);
    CAPTURE(c.weight);
    CAPTURE(c.options.padding);
    CAPTURE(c.options.groups);
    const Tensor x = whole_numbers(c.x, random), weight = whole_numbers(c.weight, random);
    const Tensor bias = whole_numbers({c.weight[0]}, random), dy = whole_numbers(c.y, random);
    const Results expected = reference_results<double>(x, weight, bias, dy, c.options);
    for (const bool fused : {false, true}) {
      const Results actual = results(DType::f32, fused, x, weight, bias, dy, c.options);
      CHECK(actual.y == expected.y);
      CHECK(actual.dx == expected.dx);
      CHECK(actual.dweight == expected.dweight);
      CHECK(actual.dbias == expected.dbias);
    }
  }
}

TEST_CASE("conv2d: by Winograd's filtering, results are no further from the exact ones than plain f32 sums are") {
  std::mt19937 random(13);
  const auto error = [](const std::vector<double>& expected, const std::vector<double>& actual) {
    double squares = 0;  // the largest error alone would be a matter of luck
    for (std::size_t i = 0; i < expected.size(); ++i) squares += std::pow(expected[i] - actual[i], 2);
    return squares;
  };
  for (int trial = 0; trial < 12; ++trial) {
    const WinogradCase c(random);
    CAPTURE(c.x);
    CAPTURE(c.weight);
    CAPTURE(c.options.padding);
    const Tensor x = normal_numbers(c.x, random), weight = normal_numbers(c.weight, random);
    const Tensor dy = normal_numbers(c.y, random);
    const Tensor bias = normal_numbers({c.weight[0]}, random);
    const auto linear = [&](DType dtype) {
      Tensor x_leaf = x.to(dtype).clone(), w_leaf = weight.to(dtype).clone();
      x_leaf.requires_grad_();
      w_leaf.requires_grad_();
      const Tensor y = nn::conv2d(x_leaf, w_leaf, bias.to(dtype), c.options);
      sum(y * dy.to(dtype)).backward();
      const auto numbers = [](const Tensor& t) { return t.detach().to(DType::f64).to_vector<double>(); };
      return Results{numbers(y), numbers(x_leaf.grad()), numbers(w_leaf.grad()), {}};
    };
    const Results expected = linear(DType::f64), actual = linear(DType::f32);
    const Results plain = reference_results<float>(x, weight, bias, dy, c.options, false);
    CHECK(error(expected.y, actual.y) <= error(expected.y, plain.y));
    CHECK(error(expected.dx, actual.dx) <= error(expected.dx, plain.dx));
    CHECK(error(expected.dweight, actual.dweight) <= error(expected.dweight, plain.dweight));
  }
}

TEST_CASE("conv2d: by Winograd's filtering, neither the number of threads nor other samples change a bit") {
  std::mt19937 random(14);
  const int threads = num_threads();
  for (int trial = 0; trial < 8; ++trial) {
    const WinogradCase c(random, 3);
    CAPTURE(c.x);
    CAPTURE(c.weight);
    const Tensor x = normal_numbers(c.x, random), weight = normal_numbers(c.weight, random);
    const Tensor bias = normal_numbers({c.weight[0]}, random), dy = normal_numbers(c.y, random);
    set_num_threads(1);
    const Results one = results(DType::f32, true, x, weight, bias, dy, c.options);
    for (const int other : {2, 3}) {
      set_num_threads(other);
      CHECK(results(DType::f32, true, x, weight, bias, dy, c.options) == one);
    }
    set_num_threads(threads);
    const auto sample = [](const Tensor& all, std::int64_t n) { return slice(all, n, n + 1); };
    for (std::int64_t n = 0; n < c.x[0]; ++n) {
      const Results alone = results(DType::f32, true, sample(x, n), weight, bias, sample(dy, n), c.options);
      const auto among = [&](const std::vector<double>& all, const std::vector<double>& part) {
        return std::equal(part.begin(), part.end(), all.begin() + n * static_cast<std::int64_t>(part.size()));
      };
      CHECK(among(one.y, alone.y));
      CHECK(among(one.dx, alone.dx));
    }
  }
}

TEST_CASE("conv2d: by Winograd's filtering, sums over so many tiles that they are taken in parts are exact as well") {
  std::mt19937 random(15);
  const int threads = num_threads();
  const nn::Conv2dOptions options{.padding = 1};
  const Tensor x = whole_numbers({8, 63, 50, 32}, random), weight = whole_numbers({33, 3, 3, 32}, random);
  const Tensor bias = whole_numbers({33}, random), dy = whole_numbers({8, 63, 50, 33}, random);
  const Results expected = results(DType::f64, true, x, weight, bias, dy, options);
  for (const int number : {1, 3}) {
    set_num_threads(number);
    CHECK(results(DType::f32, true, x, weight, bias, dy, options) == expected);
  }
  set_num_threads(threads);
}

TEST_CASE("conv2d: no image, and a nan, go through") {
  const Tensor weight = Tensor::ones({3, 3, 3, 2}), bias = Tensor::ones({3});
  CHECK(nn::conv2d(Tensor::ones({0, 5, 5, 2}), weight, bias).shape() == Shape{0, 3, 3, 3});
  Tensor x = Tensor::ones({0, 5, 5, 2}), w = weight.clone();
  w.requires_grad_();
  sum(nn::conv2d_relu(x, w, bias)).backward();
  CHECK(w.grad().to_vector<float>() == std::vector<float>(54, 0.0f));
  for (const std::int64_t group_in : {1, 2}) {  // in groups, by loops and by tiles
    Tensor grouped = Tensor::ones({3, 3, 3, group_in});
    grouped.requires_grad_();
    sum(nn::conv2d_relu(Tensor::ones({0, 5, 5, 3 * group_in}), grouped, bias, {.groups = 3})).backward();
    CHECK(grouped.grad().to_vector<float>() == std::vector<float>(static_cast<std::size_t>(27 * group_in), 0.0f));
  }
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(nn::conv2d_relu(Tensor::full({1, 3, 3, 2}, nan), weight, bias).to_vector<float>()[0]));
}

TEST_CASE("conv2d: in f64, a batch whose patches take more than 128 MiB goes through in parts") {
  std::mt19937 random(15);
  const auto whole = [&](const Shape& shape) {
    std::vector<float> values(static_cast<std::size_t>(shape.numel()));
    for (float& value : values) value = static_cast<float>(random() % 3) - 1;
    return Tensor::from(values, shape);
  };
  const Tensor x = whole({2, 172, 172, 64}), weight = whole({1, 3, 3, 64}), bias = whole({1}),
               dy = whole({2, 172, 172, 1});
  const auto results = [&](DType dtype) {
    const Tensor a = nn::parameter(x.to(dtype).clone()), w = nn::parameter(weight.to(dtype).clone());
    const Tensor b = nn::parameter(bias.to(dtype).clone()), y = nn::conv2d(a, w, b, {.padding = 1});
    sum(y * dy.to(dtype)).backward();
    std::vector<std::vector<double>> all;
    for (const Tensor& t : {y.detach(), a.grad(), w.grad(), b.grad()})
      all.push_back(t.to(DType::f64).to_vector<double>());
    return all;
  };
  CHECK(results(DType::f64) == results(DType::f32));
}

TEST_CASE("conv2d: a stride larger than the image, and no output channel") {
  const Tensor weight = Tensor::ones({2, 3, 3, 1}), bias = Tensor::zeros({2});
  Tensor x = Tensor::ones({1, 5, 5, 1}).clone();
  x.requires_grad_();
  sum(nn::conv2d(x, weight, bias, {.stride = 1000000, .padding = 1})).backward();
  CHECK(sum(x.grad()).to_vector<float>()[0] == 8);  // 4 pixels under the first window, twice
  Tensor none = Tensor::ones({0, 3, 3, 1}).clone();
  none.requires_grad_();
  const Tensor y = nn::conv2d(x.detach(), none, Tensor::zeros({0}));
  CHECK(y.shape() == Shape{1, 3, 3, 0});
  sum(y).backward();
}

TEST_CASE("gemm: by tiles in f32 it is Eigen's product in f64, for any transposition, depth and distance of rows") {
  std::mt19937 random(11);
  const auto between = [&](int low, int high) {
    return std::int64_t{low} + static_cast<std::int64_t>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int trial = 0; trial < 120; ++trial) {
    const bool ta = trial % 2, tb = trial / 2 % 2;
    const bool large = trial % 9 == 0;  // shared among threads, with packed rows
    const std::int64_t m = between(1, large ? 250 : 40), n = between(1, large ? 350 : 90);
    const std::int64_t k = between(0, trial % 5 == 0 ? 1600 : 60);
    const std::int64_t lda = (ta ? m : k) + between(0, 3), ldb = (tb ? k : n) + between(0, 3), ldc = n + between(0, 3);
    const auto numbers = [&](std::int64_t count) {
      std::vector<double> values(static_cast<std::size_t>(count));
      for (double& value : values) value = static_cast<double>(random() % 7) - 3;
      return values;
    };
    // Not a number more than there are, so that a sanitizer sees what is read beyond them.
    const auto a = numbers(std::max<std::int64_t>((ta ? k : m) * lda, 1));
    const auto b = numbers(std::max<std::int64_t>((tb ? n : k) * ldb, 1));
    std::vector<double> c = numbers((m - 1) * ldc + n);
    const std::vector<float> a32(a.begin(), a.end()), b32(b.begin(), b.end());
    std::vector<float> c32(c.begin(), c.end());
    host::gemm(ta, tb, m, n, k, a.data(), lda, b.data(), ldb, c.data(), ldc);
    host::gemm(ta, tb, m, n, k, a32.data(), lda, b32.data(), ldb, c32.data(), ldc);
    CHECK(std::equal(c.begin(), c.end(), c32.begin()));
  }
}
