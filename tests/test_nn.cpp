// Modules: what they list, their modes, initial weights, the stock model and its printed table.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <sstream>
#include <utility>

#include "error.h"
#include "mixgrad.h"
#include "op_cases.h"

using namespace mixgrad;
using namespace mixgrad::nn;
using mixgrad::test::check_refused;
using mixgrad::test::Domain;

namespace {

Tensor normal(const Shape& shape, DType dtype = DType::f32) {
  return test::make_inputs({shape}, Domain::normal, dtype, 5)[0];
}

std::vector<std::string> names(const std::vector<NamedTensor>& tensors) {
  std::vector<std::string> result;
  for (const NamedTensor& named : tensors) result.push_back(named.name);
  return result;
}

// Whether the leaves below the model's output are exactly its parameters.
bool lists_its_leaves(Module& model, const Shape& input) {
  std::vector<const Node*> found, listed;
  for (const auto& node : leaves(model(normal(input)))) found.push_back(node.get());
  for (const Tensor& parameter : parameters(model)) listed.push_back(parameter.node().get());
  std::sort(found.begin(), found.end());
  std::sort(listed.begin(), listed.end());
  return found == listed;
}

// Infinite where a nan is among the differences.
double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  const auto x = a.to(DType::f64).to_vector<double>(), y = b.to(DType::f64).to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - y[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);  // max alone would pass over a nan
  }
  return largest;
}

std::string printed(Module& model, const Shape& input) {
  std::ostringstream out;
  print(out, model, input);
  return out.str();
}

// A module of the user's own, that may forget to list its bias.
struct Affine : Module {
  explicit Affine(bool forgets = false) : forgets(forgets) {}
  Tensor forward(const Tensor& x) override { return x * weight + bias; }
  void visit(Visitor& visitor) override {
    visitor.parameter("weight", weight);
    if (!forgets) visitor.parameter("bias", bias);
  }
  std::string name() const override { return "Affine"; }
  Tensor weight = parameter(Tensor::ones({1})), bias = parameter(Tensor::zeros({1}));
  bool forgets;
};

}  // namespace

TEST_CASE("module: every layer and model lists exactly the leaves it computes with") {
  const auto check_layer = [](auto layer, const Shape& input) {
    INFO(layer.name());
    CHECK(lists_its_leaves(layer, input));
  };
  check_layer(Linear(3, 2), {4, 3});
  check_layer(Linear(3, 2, {.bias = false}), {4, 3});
  check_layer(Conv2d(3, 4), {2, 5, 5, 3});
  check_layer(Conv2d(3, 4, {.bias = false}), {2, 5, 5, 3});
  check_layer(BatchNorm(3), {4, 3});
  check_layer(Sequential(Linear(3, 4), Sequential(BatchNorm(4), ReLU()), Linear(4, 2)), {5, 3});
  check_layer(simple_cnn({3, 4, 5, 2}), {2, 8, 8, 3});
  check_layer(simple_cnn({3, 4, 5, 2}, {.batch_norm = true}), {2, 8, 8, 3});
  check_layer(Conv2d(4, 6, {.groups = 2}), {2, 5, 5, 4});
  check_layer(LayerNorm(3), {4, 3});
  check_layer(Residual(Sequential(Linear(3, 3)), Sequential(Linear(3, 3, {.bias = false}))), {4, 3});
  check_layer(Sequential(Dropout(), MaxPool2d(2), AvgPool2d(2), Conv2d(1, 1)), {2, 12, 12, 1});
  check_layer(lenet(1, 10), {2, 28, 28, 1});
  check_layer(resnet(3, 10), {2, 28, 28, 3});
  check_layer(Affine(), {2});
  Affine forgetful(true);
  CHECK_FALSE(lists_its_leaves(forgetful, {2}));
}

TEST_CASE("module: parameters and buffers have PyTorch's names") {
  using Names = std::vector<std::string>;
  Linear linear(3, 2);
  CHECK(names(named_parameters(linear)) == Names{"weight", "bias"});
  Sequential plain = simple_cnn({3, 16, 2});
  CHECK(names(named_parameters(plain)) == Names{"0.weight", "0.bias", "2.weight", "2.bias"});
  CHECK(named_buffers(plain).empty());
  Sequential normalised = simple_cnn({3, 16, 2}, {.batch_norm = true});
  CHECK(names(named_parameters(normalised)) == Names{"0.weight", "2.weight", "2.bias", "3.weight", "3.bias"});
  CHECK(names(named_buffers(normalised)) == Names{"2.running_mean", "2.running_var"});
  Sequential nested(ReLU(), Sequential(ReLU(), Linear(2, 2, {.bias = false})));
  CHECK(names(named_parameters(nested)) == Names{"1.1.weight"});
}

TEST_CASE("module: a parameter shared by two layers is listed once") {
  const Linear shared(3, 3);
  Sequential model(shared, ReLU(), shared);
  CHECK(parameters(model).size() == 2);
  CHECK(num_parameters(model) == 12);
  CHECK(lists_its_leaves(model, {2, 3}));
}

TEST_CASE("module: a copy shares parameters, buffers and mode") {
  BatchNorm original(3);
  BatchNorm copy = original;
  CHECK(copy.weight.is(original.weight));
  CHECK(copy.running_mean.is(original.running_mean));
  copy.eval();
  CHECK_FALSE(original.training());
  Sequential model = simple_cnn({1, 2, 2});
  Sequential same = model;
  for (std::size_t i = 0; i < parameters(model).size(); ++i) CHECK(parameters(same)[i].is(parameters(model)[i]));
}

TEST_CASE("module: train and eval reach every layer below") {
  Sequential model(Linear(2, 2), Sequential(ReLU(), BatchNorm(2)));
  Module& inner = dynamic_cast<Sequential&>(model[1])[1];
  CHECK(inner.training());
  model.eval();
  CHECK_FALSE(model.training());
  CHECK_FALSE(model[0].training());
  CHECK_FALSE(inner.training());
  model.train();
  CHECK(inner.training());
  CHECK(model.training());
}

TEST_CASE("module: several inputs are refused unless the model overrides that form") {
  struct Sum : Module {
    Tensor forward_many(std::span<const Tensor> inputs) override { return inputs[0] + inputs[1]; }
    std::string name() const override { return "Sum"; }
  } both;
  const Tensor inputs[] = {Tensor::ones({2}), Tensor::ones({2})};
  ReLU relu;
  CHECK_THROWS_WITH_AS(relu(inputs), doctest::Contains("ReLU: takes one input, got 2"), Error);
  CHECK_THROWS_WITH_AS(relu(std::span<const Tensor>()), "ReLU: needs an input", Error);
  CHECK(relu(std::span(inputs, 1)).numel() == 2);
  CHECK(both(inputs).to_vector<float>() == std::vector<float>{2, 2});
  CHECK_THROWS_WITH_AS(both(inputs[0]), "Sum: defines no forward for a single input", Error);
}

TEST_CASE("module: an observer sees each forward, innermost first, and gives way again") {
  Sequential model(Linear(3, 2), ReLU());
  std::vector<std::string> seen;
  {
    const ForwardObserver observer([&](Module& module, const Shape&, const Shape&) { seen.push_back(module.name()); });
    model(normal({1, 3}));
  }
  model(normal({1, 3}));
  CHECK(seen == std::vector<std::string>{"Linear(3, 2)", "ReLU", "Sequential"});
}

TEST_CASE("sequential: a layer in front of a ReLU may compute both in one pass, and an observer sees the two") {
  struct Counting : Affine {
    explicit Counting(int* calls) : calls(calls) {}
    Tensor forward(const Tensor& x) override { return Affine::forward(x); }
    Tensor forward_relu(const Tensor& x) { return ++*calls, relu(forward(x)); }
    int* calls;
  };
  int calls = 0;
  std::vector<std::string> seen;
  Sequential fused{Counting(&calls), ReLU(), ReLU(), Tanh(), Counting(&calls)};
  Sequential apart{Affine(), Function("ReLU", relu), Function("ReLU", relu), Tanh(), Affine()};
  const Tensor x = Tensor::from({-1.5f, 2.0f}, {2});
  const ForwardObserver observer([&](Module& module, const Shape&, const Shape&) { seen.push_back(module.name()); });
  const Tensor y = fused(x);
  const std::vector<std::string> seen_fused = std::exchange(seen, {});
  CHECK(y.to_vector<float>() == apart(x).to_vector<float>());
  CHECK(calls == 1);
  CHECK(seen_fused == seen);
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

TEST_CASE("dropout: zeroes the share asked for, keeps the mean, repeats with the seed and differs from call to call") {
  const RandomState before = random_state();
  const Tensor x = Tensor::ones({100000});
  Dropout layer(0.3);
  manual_seed(1);
  const auto first = layer(x).to_vector<float>(), second = layer(x).to_vector<float>();
  manual_seed(1);
  CHECK(layer(x).to_vector<float>() == first);
  CHECK(first != second);
  const auto dropped = static_cast<double>(std::count(first.begin(), first.end(), 0.f)) / 1e5;
  CHECK(std::abs(dropped - 0.3) < 0.0075);  // five standard errors
  for (const float value : first) CHECK((value == 0 || value == doctest::Approx(1 / 0.7)));
  layer.eval();
  CHECK(layer(x).is(x));
  CHECK_THROWS_AS(Dropout(1.0), Error);
  CHECK_THROWS_AS(Dropout(-0.1), Error);
  // The words are those of a stream, so that any device can draw them.
  Random words(1, Purpose::dropout, 0, 0, 0);
  bool alike = true;  // in each of the ranges that threads share, too
  for (const float value : first) alike &= (value == 0) == (words.bits() < 0.3 * 4294967296.0);
  CHECK(alike);
  set_random_state(before);
}

TEST_CASE("residual: adds, and names the shapes that do not add up") {
  Residual identity{Sequential()};
  const Tensor x = normal({2, 3});
  CHECK(identity(x).to_vector<float>() == (x + x).to_vector<float>());
  Residual narrow{Sequential(Linear(3, 2))};
  CHECK_THROWS_WITH_AS(narrow(x), "Residual: the body makes [2, 2] of [2, 3], the shortcut [2, 3]", Error);
}

TEST_CASE("init: Xavier's deviation is sqrt(2 / (fan_in + fan_out)), normal or uniform") {
  for (const Tensor& weight : {xavier_normal({300, 200}, 200, 300), xavier_uniform({300, 200}, 200, 300)}) {
    const double variance = mean(weight * weight).item();
    CHECK(std::abs(variance / (2.0 / 500) - 1) < 0.03);
    CHECK(std::abs(mean(weight).item()) < 0.002);
  }
  CHECK(max(xavier_uniform({300, 200}, 200, 300)).item() <= std::sqrt(6.0 / 500));
  const std::uint64_t before = default_seed();
  manual_seed(92508);  // draws a number that the nearest f32 to the bound would exceed
  CHECK(max(abs(xavier_uniform({17}, 1, 3))).item() <= std::sqrt(6.0 / 4));
  manual_seed(before);
  CHECK_THROWS_AS(xavier_normal({2}, 0, 3), Error);
  CHECK(constant({2}, 0.5).to_vector<float>() == std::vector<float>{0.5f, 0.5f});
}

TEST_CASE("pool: hostile shapes are refused by name") {
  const Tensor x = normal({1, 4, 4, 2});
  CHECK_THROWS_WITH_AS(max_pool2d(x, 5), "max_pool2d: kernel size 5 exceeds input [1, 4, 4, 2] padded by 0", Error);
  CHECK_THROWS_AS(avg_pool2d(x, 0), Error);
  CHECK_THROWS_AS(avg_pool2d(x, 2, {.padding = 2}), Error);
  CHECK_THROWS_AS(max_pool2d(normal({4, 4, 2}), 2), Error);
  CHECK_THROWS_WITH_AS(MaxPool2d(0), "MaxPool2d: kernel size 0, stride 0, padding 0", Error);
  CHECK_THROWS_WITH_AS(MaxPool2d(2, {.padding = 2}), "MaxPool2d: kernel size 2, stride 2, padding 2", Error);
  CHECK_THROWS_WITH_AS(AvgPool2d(2, {.stride = -1}), "AvgPool2d: kernel size 2, stride -1, padding 0", Error);
  const Tensor odd = Tensor::from({1.f, NAN, 3.f, NAN, 2.f, HUGE_VALF}, {1, 3, 2, 1}).requires_grad_();
  const Tensor pooled = max_pool2d(odd, 2, {.stride = 1});
  for (const float value : pooled.to_vector<float>()) CHECK(std::isnan(value));
  sum(pooled).backward();
  CHECK(odd.grad().to_vector<float>() == std::vector<float>{0, 0, 0, 2, 0, 0});  // the last nan of a window
}

TEST_CASE("windows: an image without pixels is refused, padded or not; a batch without images is not") {
  const Tensor weight = Tensor::ones({3, 1, 1, 2}), bias = Tensor::zeros({3});
  const auto each = [&](const Shape& shape, const auto& check_one) {
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = Tensor::zeros(shape, {.dtype = dtype});
      check_one([&] { return max_pool2d(x, 2, {.stride = 1, .padding = 1}); });
      check_one([&] { return avg_pool2d(x, 2, {.stride = 1, .padding = 1}); });
      check_one([&] { return conv2d(x, weight.to(dtype), bias.to(dtype), {.padding = 1}); });
      check_one([&] { return conv2d_relu(x, weight.to(dtype), Tensor(), {.padding = 1}); });
    }
  };
  for (const Shape& shape : {Shape{1, 0, 5, 2}, Shape{1, 5, 0, 2}, Shape{2, 0, 0, 2}, Shape{0, 0, 5, 2}})
    each(shape, [&](const auto& f) { check_refused(f, text_of("input ", shape, " has no pixels")); });
  each({0, 4, 5, 2}, [](const auto& f) { CHECK(f().numel() == 0); });
  check_refused([] { max_pool2d(Tensor::zeros({1, 0, 5, 1000}), 2, {.stride = 1, .padding = 1}); }, "has no pixels");
  check_refused([] { max_pool2d(Tensor::zeros({1, 4, 5, 0}), 2); }, "max_pool2d: input [1, 4, 5, 0] has no channels");
  check_refused([] { avg_pool2d(Tensor::zeros({1, 4, 5, 0}), 2); }, "avg_pool2d: input [1, 4, 5, 0] has no channels");
  check_refused(
      [&] {
        conv2d(Tensor::zeros({1, 4, 5, 2}), Tensor::zeros({3, 0, 1, 2}), bias);
      },
      "kernel of weight [3, 0, 1, 2] is empty");
  check_refused([] { global_avg_pool(Tensor::zeros({1, 0, 5, 2})); }, "is empty");
}

TEST_CASE("max_pool2d: of a window of -inf alone the first pixel is taken, of nan alone the last, as in PyTorch") {
  for (const double value : {double{NAN}, -double{INFINITY}})
    for (const DType dtype : {DType::f32, DType::f64}) {
      const Tensor x = Tensor::full({2, 3, 3, 2}, value, {.dtype = dtype}).requires_grad_();
      const Tensor y = max_pool2d(x, 2, {.stride = 1, .padding = 1});
      for (const double each : y.to(DType::f64).to_vector<double>()) CHECK((each == value || each != each));
      sum(y * Tensor::ones(y.shape(), y.options())).backward();
      // 16 windows: that of the first row and column has the first pixel alone, that of the last the last.
      std::vector<double> expected{4, 4, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 2, 2, 1, 1, 1, 1};
      if (value != value) std::reverse(expected.begin(), expected.end());
      CHECK(slice(x.grad(), 1, 2).to(DType::f64).to_vector<double>() == expected);
    }
}

TEST_CASE("layers: options whose sums or products would overflow are refused where they are given") {
  const std::int64_t most = std::numeric_limits<std::int64_t>::max(), two_32 = std::int64_t{1} << 32;
  const Tensor x = normal({2, 8, 8, 1}), weight = normal({2, 3, 3, 1});
  for (const std::int64_t huge : {most, most - 1, most / 2, two_32, two_32 + 1, std::int64_t{1} << 21}) {
    CAPTURE(huge);
    check_refused([&] { Conv2d(1, 1, {.padding = huge}); }, "Conv2d: stride 1");
    check_refused([&] { Conv2d(1, 1, {.stride = huge}); }, "Conv2d: stride");
    check_refused([&] { Conv2d(1, 1, {.kernel_size = huge}); }, "Conv2d: ");
    check_refused([&] { Conv2d(1, 1, {.groups = huge}); }, "groups");
    check_refused([&] { conv2d(x, weight, {}, {.padding = huge}); }, "conv2d: stride 1");
    check_refused([&] { conv2d(x, weight, {}, {.stride = huge}); }, "conv2d: stride");
    check_refused([&] { conv2d(x, weight, {}, {.groups = huge}); }, "groups");
    check_refused([&] { max_pool2d(x, huge, {.stride = 1, .padding = huge / 2}); }, "max_pool2d: kernel size");
    check_refused([&] { avg_pool2d(x, huge, {.stride = 1, .padding = huge / 2}); }, "avg_pool2d: kernel size");
    check_refused([&] { avg_pool2d(x, 2, {.stride = huge}); }, "avg_pool2d: kernel size 2, stride");
    check_refused([&] { MaxPool2d{huge}; }, "MaxPool2d: kernel size");
    check_refused([&] { AvgPool2d(2, {.stride = huge}); }, "AvgPool2d: kernel size");
    check_refused([&] { simple_cnn({1, 2}, {.kernel_sizes = {huge}}); }, "Conv2d: ");
    check_refused([&] { simple_cnn({1, 2}, {.strides = {huge}}); }, "Conv2d: ");
    check_refused([&] { resnet(1, 2, {.blocks = huge}); }, "resnet: ");
  }
  for (const std::int64_t huge : {most, most - 1, most / 2, std::int64_t{1} << 61}) {
    CAPTURE(huge);
    check_refused([&] { Conv2d(huge, 1); });
    check_refused([&] { Conv2d(1, huge); });
    check_refused([&] { Conv2d(huge, huge, {.kernel_size = 1 << 20}); });
    check_refused([&] { Linear(huge, 1); });
    check_refused([&] { Linear(1, huge); });
    check_refused([&] { BatchNorm{huge}; });
    check_refused([&] { LayerNorm{huge}; });
    check_refused([&] { xavier_uniform({2}, huge, -huge); });
    CHECK(xavier_uniform({2}, huge, huge).numel() == 2);
    check_refused([&] { lenet(huge, 2); });
    check_refused([&] { resnet(1, huge); });
  }
  check_refused([] { LayerNorm(0); }, "LayerNorm: needs a positive number of features");
  // Large ones that are meant: one window on a small image, and the mean over 2^20 by 2^20 pixels, nearly all zeros.
  CHECK(conv2d(x, weight, {}, {.stride = 1 << 20}).shape() == Shape{2, 1, 1, 2});
  CHECK(avg_pool2d(Tensor::ones({1, 2, 2, 1}), 1 << 20, {.padding = 1 << 19}).item() ==
        doctest::Approx(std::ldexp(4, -40)));
}

TEST_CASE("print: a model's layers, shapes, parameters and multiply-adds") {
  Sequential model = simple_cnn({3, 16, 16, 2});
  CHECK(printed(model, {64, 28, 28, 3}) ==
        R"(layer                                               output              parameters  multiply-adds
Conv2d(3, 16, kernel_size=3, stride=2, padding=1)   [64, 14, 14, 16]           448      5,419,008
ReLU                                                [64, 14, 14, 16]             0              0
Conv2d(16, 16, kernel_size=3, stride=2, padding=1)  [64, 7, 7, 16]           2,320      7,225,344
ReLU                                                [64, 7, 7, 16]               0              0
Conv2d(16, 2, kernel_size=3, stride=2, padding=1)   [64, 4, 4, 2]              290        294,912
ReLU                                                [64, 4, 4, 2]                0              0
GlobalAvgPool                                       [64, 1, 1, 2]                0              0
Flatten                                             [64, 2]                      0              0
total                                                                        3,058     12,939,264
)");
}

TEST_CASE("print: what a layer consists of stands below it, indented, and the rows add up to the total") {
  Residual block(Sequential(Conv2d(2, 4, {.stride = 2, .padding = 1}), BatchNorm(4)),
                 Sequential(Conv2d(2, 4, {.kernel_size = 1, .stride = 2})));
  Sequential model(block, ReLU(), Sequential(GlobalAvgPool(), Sequential(Flatten())), Linear(4, 3));
  CHECK(printed(model, {1, 8, 8, 2}) ==
        R"(layer                                                 output          parameters  multiply-adds
Residual                                              [1, 4, 4, 4]             0              0
  Sequential                                          [1, 4, 4, 4]             0              0
    Conv2d(2, 4, kernel_size=3, stride=2, padding=1)  [1, 4, 4, 4]            76          1,152
    BatchNorm(4)                                      [1, 4, 4, 4]             8              0
  Sequential                                          [1, 4, 4, 4]             0              0
    Conv2d(2, 4, kernel_size=1, stride=2, padding=0)  [1, 4, 4, 4]            12            128
ReLU                                                  [1, 4, 4, 4]             0              0
Sequential                                            [1, 4]                   0              0
  GlobalAvgPool                                       [1, 1, 1, 4]             0              0
  Sequential                                          [1, 4]                   0              0
    Flatten                                           [1, 4]                   0              0
Linear(4, 3)                                          [1, 3]                  15             12
total                                                                        111          1,292
)");
}

TEST_CASE("print: a module of one's own has a row, also as the model; shared children count once") {
  struct Tied : Module {  // two names for one layer, which runs twice, one that does not run, and a weight of its own
    Tensor forward(const Tensor& x) override { return layer(layer(x)) * scale; }
    void visit(Visitor& visitor) override {
      visitor.parameter("scale", scale);
      visitor.child("encoder", layer);
      visitor.child("decoder", layer);
      visitor.child("head", head);
    }
    std::string name() const override { return "Tied"; }
    Linear layer{2, 2};
    Sequential head{Linear(2, 5)};
    Tensor scale = parameter(Tensor::ones({2}));
  };
  Tied tied;
  const std::string alone = R"(layer           output    parameters  multiply-adds
Tied            [1, 2]             2              0
  Linear(2, 2)  [1, 2]             6              4
  Linear(2, 2)  [1, 2]             0              4
  Sequential                      15              0
total                             23              8
)";
  CHECK(printed(tied, {1, 2}) == alone);
  Sequential model(ReLU(), tied, ReLU());
  CHECK(printed(model, {1, 2}).find("\nTied            [1, 2]             2              0\n  Linear(2, 2)") !=
        std::string::npos);
}

TEST_CASE("print: nesting a thousand deep is a thousand indented rows") {
  Sequential model(Linear(2, 2));
  for (int i = 0; i < 1000; ++i) {
    Sequential outer;
    outer.add(std::move(model));
    model = outer;
  }
  std::istringstream lines(printed(model, {1, 2}));
  std::string line;
  std::getline(lines, line);
  for (std::size_t depth = 0; depth < 1000; ++depth) {
    std::getline(lines, line);
    CHECK(line.find("Sequential") == 2 * depth);
  }
  std::getline(lines, line);
  CHECK(line.find("Linear(2, 2)") == 2 * 1000);
}

TEST_CASE("print: leaves every layer in the mode it was in, and running statistics as they were") {
  Sequential model(Linear(2, 2), BatchNorm(2));
  model[1].eval();  // frozen
  std::ostringstream out;
  print(out, model, {3, 2});
  CHECK(model.training());
  CHECK(model[0].training());
  CHECK_FALSE(model[1].training());
  CHECK(named_buffers(model)[0].tensor.to_vector<float>() == std::vector<float>{0, 0});

  Linear f64(2, 3);
  f64.weight = parameter(f64.weight.detach().to(DType::f64));
  f64.bias = parameter(f64.bias.detach().to(DType::f64));
  print(out, f64, {1, 2});
  CHECK(out.str().find("[1, 3]") != std::string::npos);
}

TEST_CASE(
    "models: each starts as it says: Kaiming's weights, biases zero, normalisation the identity, or off in resnet") {
  struct Model {
    const char* name;
    Sequential model;
    std::size_t closed;  // batch norms that start at weight 0
  };
  for (const Model& each :
       {Model{"simple_cnn", simple_cnn({3, 64, 64, 10}), 0},
        Model{"with batch norm", simple_cnn({3, 64, 64, 10}, {.batch_norm = true}), 0}, Model{"lenet", lenet(3, 10), 0},
        Model{"resnet", resnet(3, 10, {.widths = {16, 32}, .blocks = 2}), 4},
        Model{"resnet without blocks", resnet(3, 10, {.blocks = 0}), 0}}) {
    CAPTURE(each.name);
    Sequential started = each.model;
    std::size_t zeros = 0;
    for (const NamedTensor& parameter : named_parameters(started)) {
      const auto& name = parameter.name;
      const Tensor& tensor = parameter.tensor;
      CAPTURE(name);
      const auto values = tensor.detach().to_vector<float>();
      const auto all = [&](float value) { return values == std::vector<float>(values.size(), value); };
      if (name.ends_with("bias")) {
        CHECK(all(0));
      } else if (tensor.rank() == 1) {
        const bool last = name.ends_with("body.4.weight");
        CHECK(all(last ? 0 : 1));
        zeros += last;
      } else {
        const auto n = static_cast<double>(values.size());
        const double variance = 2.0 / static_cast<double>(tensor.shape().product(1, tensor.rank()));
        double squares = 0;
        for (const double value : values) squares += value * value;
        CHECK(std::abs(squares / n - variance) < 5 * variance * std::sqrt(2 / n));  // five standard errors
      }
    }
    CHECK(zeros == each.closed);
    for (const NamedTensor& buffer : named_buffers(started)) {
      CAPTURE(buffer.name);
      CHECK(buffer.tensor.to_vector<float>() == std::vector<float>(static_cast<std::size_t>(buffer.tensor.numel()),
                                                                   buffer.name.ends_with("running_var") ? 1.0f : 0.0f));
    }
    for (std::size_t i = 0; i < started.size(); ++i) {
      if (started[i].name() != "Residual") continue;
      const Tensor x = normal({2, 4, 4, i < 6 ? 16 : 32});
      CHECK(started[i](x).to_vector<float>() == x.to_vector<float>());  // the identity
    }
  }
}

TEST_CASE("init: Kaiming's deviation is sqrt(2 / fan_in), and the seed decides the weights") {
  const std::uint64_t before = default_seed();
  manual_seed(5);
  const Tensor weight = Conv2d(128, 64).weight, next = Conv2d(128, 64).weight;
  const auto values = weight.to_vector<float>();
  const auto n = static_cast<double>(values.size()), variance = 2.0 / (3 * 3 * 128);
  double sum = 0, squares = 0;
  for (const double value : values) {
    sum += value;
    squares += value * value;
  }
  CHECK(std::abs(sum / n) < 5 * std::sqrt(variance / n));                     // five standard errors
  CHECK(std::abs(squares / n - variance) < 5 * variance * std::sqrt(2 / n));  // likewise
  CHECK(next.to_vector<float>() != values);
  manual_seed(5);
  CHECK(Conv2d(128, 64).weight.to_vector<float>() == values);
  manual_seed(6);
  CHECK(Conv2d(128, 64).weight.to_vector<float>() != values);
  CHECK(Linear(3, 4).bias.to_vector<float>() == std::vector<float>(4, 0.0f));
  CHECK_THROWS_AS(kaiming_normal({2}, 0), Error);
  manual_seed(before);
}

TEST_CASE("init: the fan_in of a convolution in groups is that of one group") {
  const std::uint64_t before = default_seed();
  manual_seed(5);
  const auto whole = Conv2d(8, 4).weight.to_vector<float>();
  manual_seed(5);
  std::vector<float> of_groups = Conv2d(8, 4, {.groups = 4}).weight.to_vector<float>();
  for (float& value : of_groups) value /= 2;  // a quarter of the channels: twice the deviation
  CHECK(of_groups == std::vector<float>(whole.begin(), whole.begin() + std::ssize(of_groups)));
  manual_seed(before);
}

TEST_CASE("layers: sizes that make no sense are errors") {
  CHECK_THROWS_AS(Conv2d(0, 4), Error);
  CHECK_THROWS_AS(Conv2d(3, -1), Error);
  CHECK_THROWS_AS(Conv2d(3, 4, {.kernel_size = 0}), Error);
  CHECK_THROWS_AS(Conv2d(3, 4, {.stride = 0}), Error);
  CHECK_THROWS_AS(Conv2d(3, 4, {.padding = -1}), Error);
  CHECK_THROWS_AS(Linear(0, 2), Error);
  CHECK_THROWS_AS(BatchNorm(0), Error);
  CHECK_THROWS_AS(GlobalAvgPool()(Tensor::ones({1, 0, 3, 2})), Error);
}

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

TEST_CASE("batch norm: with the ReLU behind it in one pass it gives what the two give one after the other") {
  for (const bool training : {true, false}) {
    const auto result = [&](bool in_one_pass) {
      BatchNorm layer(3);
      layer.weight.detach().copy_(Tensor::from({1.5f, -0.5f, 1.0f}, {3}));
      layer.bias.detach().copy_(Tensor::from({0.1f, -0.2f, 0.0f}, {3}));
      layer.train(training);
      const Tensor x = normal({40, 3}).requires_grad_();
      const Tensor y = in_one_pass ? layer.forward_relu(x) : relu(layer(x));
      sum(y * normal({40, 3})).backward();
      std::vector<double> all;
      for (const Tensor& tensor : {y, x.grad(), layer.weight.grad(), layer.bias.grad(), layer.running_var})
        for (const double value : tensor.to(DType::f64).to_vector<double>()) all.push_back(value);
      return all;
    };
    const auto fused = result(true), apart = result(false);
    REQUIRE(fused.size() == apart.size());
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

TEST_CASE("cross_entropy: the logarithm of the class count for equal logits, and one-hot equals index") {
  CHECK(std::abs(cross_entropy(Tensor::zeros({3, 10}), Tensor::from({0, 4, 9}, {3})).item() - std::log(10)) < 1e-6);
  const Tensor logits = normal({2, 3}, DType::f64), one_hot = Tensor::from({0.0, 0.0, 1.0, 1.0, 0.0, 0.0}, {2, 3});
  const double difference =
      cross_entropy(logits, Tensor::from({2, 0}, {2})).item() - cross_entropy(logits, one_hot).item();
  CHECK(std::abs(difference) < 1e-15);  // the same numbers, with zeros added
}

TEST_CASE("model: one backward reaches every parameter, and a step against the gradient lowers the loss") {
  Sequential model = simple_cnn({3, 8, 8, 2}, {.batch_norm = true});
  const Tensor x = normal({16, 12, 12, 3});
  Tensor target = Tensor::zeros({16}, {.dtype = DType::i32});
  slice(target, 0, 8).fill_(1);
  const Tensor loss = cross_entropy(model(x), target);
  loss.backward();
  for (const NamedTensor& parameter : named_parameters(model)) {
    INFO(parameter.name);
    const Tensor& tensor = parameter.tensor;
    REQUIRE(tensor.grad().defined());
    const NoGrad off;
    tensor.copy_(tensor - tensor.grad() * 0.01);
  }
  CHECK(cross_entropy(model(x), target).item() < loss.item());
}

TEST_CASE("cross_entropy: two labels in one pass are the dense form on their mixture, in value and in gradient") {
  const Tensor weights = Tensor::from({0.5f, 1.0f, 0.0f, 3.0f}, {4});
  const Tensor y = Tensor::from({0, 3, 2, 1, 2}, {5}), partner = Tensor::from({1, 3, 0, 2, 3}, {5});
  const Tensor lambda = Tensor::from({0.75, 0.5, 0.0, 1.0, 0.625}, {5});
  for (const CrossEntropyOptions& options :
       {CrossEntropyOptions{}, {.label_smoothing = 0.3}, {.class_weights = weights}, {0.1, weights}})
    for (const Tensor& share : {lambda, Tensor::full({}, 0.375, {.dtype = DType::f64})}) {
      const auto result = [&](auto loss) {
        const Tensor logits = normal({5, 4}, DType::f64).requires_grad_();
        const Tensor each = loss(logits);
        sum(each * normal({5}, DType::f64)).backward();
        return concat({each.detach(), reshape(logits.grad(), {20})}, 0);
      };
      const Tensor column = share.rank() ? reshape(share, {5, 1}) : share;
      const Tensor dense = column * one_hot(y, 4, DType::f64) + (1.0 - column) * one_hot(partner, 4, DType::f64);
      const Tensor mixed = result([&](const Tensor& x) { return cross_entropy_mixed(x, y, partner, share, options); });
      const Tensor expected = result([&](const Tensor& x) { return cross_entropy_per_sample(x, dense, options); });
      CHECK(largest_difference(mixed, expected) < 1e-14);
    }
}

TEST_CASE("cross_entropy: with two labels, a wrong shape, dtype or index is refused") {
  const Tensor logits = normal({2, 3}), y = Tensor::from({0, 2}, {2}), lambda = Tensor::from({0.5f, 1.0f}, {2});
  const auto text = [&](const Tensor& partner, const Tensor& share) {
    return test::error_of([&] { cross_entropy_mixed(logits, y, partner, share); });
  };
  CHECK(text(y, lambda) == "");
  CHECK(text(Tensor::from({0, 3}, {2}), lambda) == "cross_entropy: index 3 at position 1 is outside 0..2");
  CHECK(text(Tensor::from({0}, {1}), lambda) ==
        "cross_entropy: for logits f32[2, 3] each target must be i32 [N], got i32[1]");
  CHECK(text(y, Tensor::ones({3})) ==
        "cross_entropy: for logits f32[2, 3] lambda must be [N] or [] of the same dtype, got f32[3]");
  CHECK(text(y, lambda.to(DType::f64)) ==
        "cross_entropy: for logits f32[2, 3] lambda must be [N] or [] of the same dtype, got f64[2]");
}

TEST_CASE("cross_entropy: a logit of -inf costs nothing where no label wants it") {
  const Tensor logits = Tensor::from({1.0f, 1.0f, -std::numeric_limits<float>::infinity()}, {1, 3}).requires_grad_();
  const Tensor loss = cross_entropy(logits, Tensor::from({0}, {1}));
  loss.backward();
  CHECK(loss.item() == doctest::Approx(std::log(2)));
  CHECK(logits.grad().to_vector<float>() == std::vector<float>{-0.5f, 0.5f, 0.0f});
}

TEST_CASE("cross_entropy: class weights that are negative or no numbers are refused when they are given") {
  for (const float bad : {-1.f, std::nanf(""), HUGE_VALF})
    CHECK_THROWS_WITH_AS(cross_entropy_with({.class_weights = Tensor::from({1.f, bad}, {2})}),
                         doctest::Contains("cross_entropy: class weight "), Error);
  CHECK_NOTHROW(cross_entropy_with({.class_weights = Tensor::from({1.f, 0.f}, {2})}));
}

TEST_CASE(
    "sequential: a layer derived from one that has ReLU in the same pass keeps its own forward in front of a ReLU") {
  struct Doubled : Conv2d {
    using Conv2d::Conv2d;
    Tensor forward(const Tensor& x) override { return 2.0 * Conv2d::forward(x); }
  };
  struct DoubledNorm : BatchNorm {
    using BatchNorm::BatchNorm;
    Tensor forward(const Tensor& x) override { return 2.0 * BatchNorm::forward(x); }
  };
  const Tensor x = Tensor::ones({2, 4, 4, 3});
  const auto is_its_own = [&](auto layer) {
    Sequential model(layer, ReLU());
    model.eval();
    const Tensor fused = model(x), expected = relu(layer.forward(x));
    return fused.to_vector<float>() == expected.to_vector<float>();
  };
  CHECK(is_its_own(Doubled(3, 2)));
  CHECK(is_its_own(DoubledNorm(3)));
  CHECK(is_its_own(Conv2d(3, 2)));
}
