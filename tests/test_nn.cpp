// Modules: what they list, their modes, initial weights; the options of layers. test_models.cpp has the stock models.
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
using mixgrad::test::normal;

namespace {

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

TEST_CASE("sequential: a batch norm computes the ReLU, SiLU or GELU behind it, to the bits of the two apart") {
  const Tensor x = normal({9, 5});
  const auto grad = [&](Sequential model) {
    const Tensor input = x.clone().requires_grad_();
    sum(model(input) * normal({9, 5})).backward();
    return input.grad().to_vector<float>();
  };
  Sequential fused(BatchNorm(5), SiLU(), BatchNorm(5), GELU(), BatchNorm(5), ReLU(), BatchNorm(5), Tanh());
  Sequential apart(BatchNorm(5), Function("a", silu), BatchNorm(5), Function("b", gelu), BatchNorm(5),
                   Function("c", relu), BatchNorm(5), Tanh());
  CHECK(fused(x).to_vector<float>() == apart(x).to_vector<float>());
  const auto of_fused = grad(fused), of_apart = grad(apart);
  for (std::size_t i = 0; i < of_apart.size(); ++i) CHECK(of_fused[i] == doctest::Approx(of_apart[i]).epsilon(1e-4));
}

TEST_CASE("batch norm: a scale that is not trained is a buffer, and stays 1") {
  BatchNorm layer(3, {.scale = false});
  CHECK(names(named_parameters(layer)) == std::vector<std::string>{"bias"});
  CHECK(names(named_buffers(layer)) == std::vector<std::string>{"weight", "running_mean", "running_var"});
  BatchNorm trained(3);
  const Tensor x = normal({7, 3});
  CHECK(layer(x).to_vector<float>() == trained(x).to_vector<float>());
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
  random_state() = before;
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
