// The stock models, and what they bring: filters that whiten or hand on, convolutions that look ahead to a pooling.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "error.h"
#include "mixgrad.h"
#include "op_cases.h"

using namespace mixgrad;
using namespace mixgrad::nn;
using mixgrad::test::check_refused;
using mixgrad::test::normal;

TEST_CASE("sequential: a convolution in front of a pooling computes what that reads, and no more") {
  struct Case {
    std::int64_t height, width, in, out, pool;
    Pool2dOptions options = {};
    Conv2dOptions conv = {.padding = 1};
    std::int64_t rows = 0, columns = 0;  // that are read
  };
  Random random(1);
  const auto whole = [&](const Shape& shape, DType dtype) {  // sums of such numbers are exact, in any order
    std::vector<double> values(static_cast<std::size_t>(shape.numel()));
    for (double& value : values) value = static_cast<double>(random.below(7)) - 3;
    return Tensor::from(values, shape).to(dtype);
  };
  const auto numbers = [](const Tensor& x) { return x.to(DType::f64).to_vector<double>(); };
  for (const Case& c : {Case{7, 9, 3, 5, 2, {}, {.padding = 1}, 6, 8},
                        {31, 15, 24, 33, 2, {}, {.padding = 1}, 30, 14},
                        {31, 9, 17, 33, 2, {}, {.padding = 1}, 30, 8},  // by Winograd's filtering
                        {9, 8, 32, 40, 2, {}, {.padding = 1}, 8, 8},    // and its transpose
                        {7, 7, 35, 16, 2, {}, {.padding = 1}, 6, 6},
                        {9, 11, 20, 33, 2, {}, {}, 6, 8},
                        {7, 7, 24, 24, 3, {}, {.padding = 2}, 9, 9},
                        {8, 8, 3, 4, 3, {.stride = 2}, {.padding = 1}, 7, 7},
                        {8, 8, 3, 4, 2, {.stride = 3}, {.padding = 1}, 8, 8},
                        {8, 9, 3, 4, 2, {.padding = 1}, {.padding = 1}, 8, 9},
                        {9, 9, 4, 4, 2, {}, {.padding = 1, .groups = 4}, 8, 8},
                        {9, 11, 4, 6, 2, {}, {.kernel_size = 1}, 8, 10},
                        {7, 9, 128, 5, 2, {}, {.kernel_size = 1}, 6, 8},
                        {9, 11, 4, 6, 2, {}, {.kernel_size = 1, .stride = 2}, 4, 6}})
    for (const DType dtype : {DType::f32, DType::f64})
      for (const bool relu_between : {false, true})
        for (const bool maximum : {false, true}) {
          CAPTURE(c.height);
          CAPTURE(c.width);
          CAPTURE(relu_between);
          const auto conv = [&] {
            manual_seed(1);
            Conv2d layer(c.in, c.out, c.conv);
            layer.weight = parameter(whole(layer.weight.shape(), dtype));
            layer.bias = parameter(whole(layer.bias.shape(), dtype));
            return layer;
          };
          const auto pool = [&](Sequential& model) {
            if (maximum) model.add(MaxPool2d(c.pool, c.options));
            else model.add(AvgPool2d(c.pool, c.options));
          };
          random = Random(2);
          const Conv2d one = conv();
          random = Random(2);
          const Conv2d other = conv();
          Sequential together(one), apart(other);
          if (relu_between) together.add(ReLU());
          pool(together);
          apart.add(
              Function("relu", [&](const Tensor& x) { return relu_between ? relu(x) : x; }));  // hides the pooling
          pool(apart);
          const Tensor x = parameter(whole({2, c.height, c.width, c.in}, dtype)), copy = parameter(x.detach().clone());
          Shape seen;
          const ForwardObserver observer([&](Module& module, const Shape&, const Shape& output) {
            if (module.name().starts_with("Conv2d")) seen = output;
          });
          const Tensor b = apart(copy), a = together(x);
          CHECK(seen == Shape{2, c.rows, c.columns, c.out});
          CHECK(numbers(a) == numbers(b));
          const Tensor dy = whole(a.shape(), dtype) * 36;  // a mean's share of it is whole
          sum(a * dy).backward();
          sum(b * dy).backward();
          CHECK(numbers(x.grad()) == numbers(copy.grad()));
          CHECK(numbers(one.weight.grad()) == numbers(other.weight.grad()));
          CHECK(numbers(one.bias.grad()) == numbers(other.bias.grad()));
        }
}

TEST_CASE("sequential: a pooling that changes forward is given the whole image") {
  struct MeanOfAll : MaxPool2d {
    MeanOfAll() : MaxPool2d(2) {}
    Tensor forward(const Tensor& x) override { return mean(x, {1, 2}); }
  };
  const Conv2d conv(2, 3, {.padding = 1});
  Sequential model(conv, MeanOfAll()), apart(conv);
  const Tensor x = normal({2, 5, 7, 2});
  CHECK(model(x).to_vector<float>() == mean(apart(x), {1, 2}).to_vector<float>());
}

TEST_CASE("whitening: outputs have no correlation, and variances as eps leaves them; the second half is negative") {
  Random random(1);
  const std::int64_t n = 50, size = 6, patches = n * (size - 1) * (size - 1);
  std::vector<float> pixels;
  for (std::int64_t i = 0; i < n * size * size; ++i) {  // three channels that depend on one another, and a mean
    const double a = random.normal(), b = random.normal(), c = random.normal();
    pixels.insert(pixels.end(), {static_cast<float>(2 + a), static_cast<float>(a + b), static_cast<float>(b + 3 * c)});
  }
  const Tensor images = Tensor::from(pixels, {n, size, size, 3});
  const double eps = 0.01;
  const Tensor filters = whitening_filters(images, {.eps = eps});
  REQUIRE(filters.shape() == Shape{24, 2, 2, 3});
  const Tensor y = reshape(Whitening(filters)(images), {patches, 24}).detach().to(DType::f64);
  const Tensor products = matmul(y, y, {.transpose_a = true}) / static_cast<double>(patches);
  const std::vector<double> moment = products.to_vector<double>();
  double last = 1;
  for (std::size_t i = 0; i < 12; ++i)
    for (std::size_t j = 0; j < 12; ++j) {
      CAPTURE(i);
      CAPTURE(j);
      const double value = moment[i * 24 + j];
      CHECK(moment[i * 24 + j + 12] == doctest::Approx(-value).epsilon(1e-5).scale(1));
      if (i != j) {
        CHECK(std::abs(value) < 1e-5);
      } else {  // variance / (variance + eps), the largest first
        CHECK(value <= last + 1e-6);
        CHECK(value > 0.1);
        last = value;
      }
    }
  // With v and variance as whitening_filters has them: |filter|^2 = 1 / (variance + eps), variance = moment /
  // |filter|^2.
  const std::vector<float> w = filters.to_vector<float>();
  for (std::size_t i = 0; i < 12; ++i) {
    double square = 0;
    for (std::size_t j = 0; j < 12; ++j) square += double{w[i * 12 + j]} * double{w[i * 12 + j]};
    CHECK(moment[i * 24 + i] / square + eps == doctest::Approx(1 / square).epsilon(1e-4));
    const auto filter = std::span(w).subspan(12 * i, 12);
    const auto largest = std::ranges::max_element(filter, {}, [](float element) { return std::abs(element); });
    CHECK(*largest > 0);
  }
  for (const WhiteningOptions& bad : {WhiteningOptions{.kernel_size = 7}, {.kernel_size = 0}, {.eps = 0}, {.eps = NAN}})
    check_refused([&] { whitening_filters(images, bad); }, "whitening: ");
  check_refused([&] { whitening_filters(images.to(DType::f64)); }, "whitening: images f64");
  // Without any variance but that of the mean, a rounding error may leave one below 0.
  for (const float value : whitening_filters(Tensor::full({3, 5, 5, 3}, 0.3), {.eps = 1e-20}).to_vector<float>())
    CHECK(std::isfinite(value));
  const Tensor infinite = Tensor::full({2, 3, 3, 1}, INFINITY);
  check_refused([&] { whitening_filters(infinite); }, "not finite");
}

TEST_CASE("dirac: the first filters hand a channel through") {
  for (const auto& [in, out] : {std::pair{2, 5}, {5, 2}, {3, 3}}) {
    Conv2d layer(in, out, {.padding = 1, .bias = false});
    dirac_(layer.weight.detach());
    const Tensor x = normal({2, 4, 5, in}), y = layer(x);
    for (std::int64_t pixel = 0; pixel < 40; ++pixel)
      for (std::int64_t c = 0; c < std::min(in, out); ++c)
        CHECK(y.detach().data<float>()[pixel * out + c] == x.data<float>()[pixel * in + c]);
  }
  check_refused([] { dirac_(Tensor::zeros({2, 2, 3, 1})); }, "k odd");
  const std::vector<float> values = fan_in_uniform({1000}, 16).to_vector<float>();
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  CHECK(*low >= -0.25f);
  CHECK(*high <= 0.25f);
  CHECK(*high - *low > 0.49f);
}

TEST_CASE("airbench and wide_resnet: the published numbers of parameters and of multiplications") {
  const auto multiply_adds = [](Sequential& model) {
    std::int64_t total = 0;
    const ForwardObserver observer(
        [&](Module& module, const Shape& in, const Shape& out) { total += module.multiply_adds(in, out); });
    CHECK(model(normal({1, 32, 32, 3})).shape() == Shape{1, 10});
    return total;
  };
  Sequential fast = airbench(whitening_filters(normal({4, 32, 32, 3})));
  fast.eval();
  CHECK(num_parameters(fast) == 1'971'352);
  CHECK(multiply_adds(fast) == 105'360'160);  // 118 million with what pooling drops
  Sequential small =
      airbench(whitening_filters(normal({4, 32, 32, 3})), {.widths = {16, 64, 64}, .activation = functions::Silu{}});
  CHECK(small(normal({2, 32, 32, 3})).shape() == Shape{2, 10});
  check_refused([] { airbench(Tensor::zeros({24, 2, 2, 3}), {.widths = {64, 256}}); }, "airbench: 2 widths");
  check_refused([] { airbench(Tensor::zeros({24, 2, 2, 3}), {.widths = {64, 0, 256}}); }, "Conv2d: needs positive");

  Sequential wide = wide_resnet(22, 6);
  wide.eval();
  CHECK(num_parameters(wide) == doctest::Approx(9.65e6).epsilon(0.001));
  CHECK(multiply_adds(wide) == doctest::Approx(2.77e9 / 2).epsilon(0.01));
  for (const auto& bad : {std::pair{21, 6}, {4, 6}, {22, 0}, {22, 65}, {1006, 1}})
    check_refused([&] { wide_resnet(bad.first, bad.second); }, "wide_resnet: ");
}

TEST_CASE("simple_cnn: the document's model, 28x28x3 to two logits with 3,058 parameters") {
  Sequential model = simple_cnn({3, 16, 16, 2});
  CHECK(num_parameters(model) == 3058);
  std::vector<Shape> shapes;
  const ForwardObserver observer([&](Module&, const Shape&, const Shape& output) { shapes.push_back(output); });
  const Tensor logits = model(normal({5, 28, 28, 3}));
  const Shape a{5, 14, 14, 16}, b{5, 7, 7, 16}, c{5, 4, 4, 2};
  CHECK(shapes == std::vector<Shape>{a, a, b, b, c, c, {5, 1, 1, 2}, {5, 2}, {5, 2}});
  for (const float logit : logits.to_vector<float>()) CHECK(logit >= 0);  // the last convolution has its ReLU too
}

TEST_CASE("simple_cnn: kernel sizes, strides and batch norm can be chosen") {
  Sequential model = simple_cnn({1, 4, 6, 2}, {.kernel_sizes = {5, 3, 1}, .strides = {1, 2, 1}, .batch_norm = true});
  std::vector<std::string> layers;
  for (std::size_t i = 0; i < model.size(); ++i) layers.push_back(model[i].name());
  CHECK(layers == std::vector<std::string>{"Conv2d(1, 4, kernel_size=5, stride=1, padding=2)", "ReLU", "BatchNorm(4)",
                                           "Conv2d(4, 6, kernel_size=3, stride=2, padding=1)", "ReLU", "BatchNorm(6)",
                                           "Conv2d(6, 2, kernel_size=1, stride=1, padding=0)", "ReLU", "GlobalAvgPool",
                                           "Flatten"});
  CHECK(num_parameters(model) == 100 + 8 + 216 + 12 + 12 + 2);  // a bias only where no batch norm follows
  CHECK(model(normal({2, 9, 9, 1})).shape() == Shape{2, 2});
  CHECK_THROWS_WITH_AS(simple_cnn({3, 16, 2}, {.kernel_sizes = {3}}), "simple_cnn: 1 kernel sizes for 2 convolutions",
                       Error);
  CHECK_THROWS_WITH_AS(simple_cnn({3, 16, 2}, {.strides = {2, 2, 2}}), "simple_cnn: 3 strides for 2 convolutions",
                       Error);
  CHECK_THROWS_AS(simple_cnn({3}), Error);
}
