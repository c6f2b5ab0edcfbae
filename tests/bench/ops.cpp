// The C++ side of ops.sh: each operation and layer that PyTorch has too, on random inputs.
//
//   mixgrad_bench_ops list                 what there is, as JSON: {"name": ..., "flops": ..., "bytes": ...} a line
//   mixgrad_bench_ops peak <threads>       GFLOP/s of a loop of multiply-adds, GB/s of a copy
//   mixgrad_bench_ops serve <threads>      reads lines "<seconds> forward|backward <case>" and answers each with the
//                                          median microseconds of a call
//
// "backward" is forward and backward, from a gradient that is given, to every input; 0 where there is none.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "mixgrad.h"
#include "tests/bench/fma_peak.h"

using namespace mixgrad;

namespace {

using Inputs = std::vector<Tensor>;
using Call = std::function<Tensor(const Inputs&)>;

struct Case {
  Inputs inputs;  // those of f32 take part in the gradient, but for targets
  Call call;
  double flops = 0, bytes = 0;  // of multiply-adds, and of what must be read and written, forward
};

Tensor positive(const Shape& shape) {
  static Random random(1, Purpose::shuffle);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (float& value : values) value = static_cast<float>(random.uniform(0.5, 2));
  return Tensor::from(values, shape);
}

Tensor normal(const Shape& shape) {
  static Random random(2, Purpose::shuffle);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return Tensor::from(values, shape);
}

Tensor classes(std::int64_t n, std::int64_t count) {
  std::vector<std::int32_t> values;
  for (std::int64_t i = 0; i < n; ++i) values.push_back(static_cast<std::int32_t>(i * 7919 % count));
  return Tensor::from(values, {n});
}

std::map<std::string, Case> cases() {
  std::map<std::string, Case> all;
  const Shape large{1024, 1024}, small{64, 64};
  const auto add = [&](const std::string& name, Inputs inputs, Call call, double flops = 0) {
    double bytes = 0;
    for (const Tensor& x : inputs) bytes += static_cast<double>(x.numel()) * static_cast<double>(size_of(x.dtype()));
    const Tensor out = no_grad([&] { return call(inputs); });
    bytes += static_cast<double>(out.numel()) * static_cast<double>(size_of(out.dtype()));
    all[name] = {std::move(inputs), std::move(call), flops, bytes};
  };
  const std::vector<std::pair<std::string, Tensor (*)(const Tensor&)>> unary{{"neg", neg},
                                                                             {"abs", abs},
                                                                             {"sqrt", sqrt},
                                                                             {"exp", exp},
                                                                             {"log", log},
                                                                             {"relu", relu},
                                                                             {"tanh", tanh},
                                                                             {"sigmoid", sigmoid},
                                                                             {"softplus", softplus},
                                                                             {"silu", silu},
                                                                             {"gelu", gelu},
                                                                             {"softmax", softmax},
                                                                             {"log_softmax", log_softmax}};
  for (const auto& [name, f] : unary)
    for (const Shape& shape : {large, small}) {
      const bool of_positive = name == "sqrt" || name == "log";
      add(text_of(name, " ", shape), {of_positive ? positive(shape) : normal(shape)},
          [f = f](const Inputs& x) { return f(x[0]); });
    }
  for (const double e : {0.5, 1.5, 2.0, 3.0})
    add(text_of("pow_", e, " ", large), {positive(large)}, [e](const Inputs& x) { return pow(x[0], e); });
  add("clamp [1024, 1024]", {normal(large)}, [](const Inputs& x) { return clamp(x[0], -1, 1); });
  add("leaky_relu [1024, 1024]", {normal(large)}, [](const Inputs& x) { return leaky_relu(x[0]); });
  const std::vector<std::pair<std::string, Tensor (*)(const Tensor&, const Tensor&)>> binary{
      {"add", mixgrad::add}, {"sub", sub}, {"mul", mul}, {"div", mixgrad::div}};
  for (const auto& entry : binary) {
    const auto with = [&](const char* what, const Shape& a, const Shape& b) {
      add(text_of(entry.first, what, " ", a), {positive(a), positive(b)},
          [f = entry.second](const Inputs& x) { return f(x[0], x[1]); });
    };
    with("", large, large);
    with("", small, small);
    with("_scalar", large, {});
    with("_row", large, {1024});
    with("_column", large, {1024, 1});
  }
  add("less [1024, 1024]", {normal(large), normal(large)},
      [](const Inputs& x) { return no_grad([&] { return less(x[0].detach(), x[1].detach()); }); });
  add("where [1024, 1024]", {less(normal(large), normal(large)), normal(large), normal(large)},
      [](const Inputs& x) { return where(x[0], x[1], x[2]); });
  using Reduced = Tensor (*)(const Tensor&, const Axes&, ReduceOptions);
  const std::vector<std::pair<std::string, Reduced>> reductions{{"sum", sum}, {"mean", mean}, {"max", max}};
  for (const auto& [name, f] : reductions) {
    for (const int axis : {0, 1})
      add(text_of(name, "_", axis, " ", large), {normal(large)},
          [f = f, axis](const Inputs& x) { return f(x[0], axis, {}); });
    add(text_of(name, "_all ", large), {normal(large)}, [f = f](const Inputs& x) { return f(x[0], {0, 1}, {}); });
    add(text_of(name, "_all ", small), {normal(small)}, [f = f](const Inputs& x) { return f(x[0], {0, 1}, {}); });
  }
  add("argmax [1024, 1024]", {normal(large)}, [](const Inputs& x) { return argmax(x[0], 1); });
  add("argmax [1024, 10]", {normal({1024, 10})}, [](const Inputs& x) { return argmax(x[0], 1); });
  for (const Shape& shape : {Shape{1024, 1024}, Shape{128, 10}})
    add(text_of("cross_entropy ", shape), {normal(shape), classes(shape[0], shape[1])},
        [](const Inputs& x) { return nn::cross_entropy(x[0], x[1]); });
  add("mse [1024, 1024]", {normal(large), normal(large)}, [](const Inputs& x) { return nn::mse(x[0], x[1].detach()); });
  add("l1 [1024, 1024]", {normal(large), normal(large)}, [](const Inputs& x) { return nn::l1(x[0], x[1].detach()); });
  add("bce_with_logits [1024, 1024]", {normal(large), sigmoid(normal(large))},
      [](const Inputs& x) { return nn::bce_with_logits(x[0], x[1].detach()); });
  for (const Shape& shape : {Shape{1024, 1024}, Shape{64, 64}}) {
    const auto layer = std::make_shared<nn::LayerNorm>(shape[1]);
    add(text_of("layer_norm ", shape), {normal(shape), layer->weight, layer->bias},
        [layer](const Inputs& x) { return (*layer)(x[0]); });
  }
  for (const Shape& shape : {Shape{32, 32, 32, 64}, Shape{64, 14, 14, 16}}) {
    const auto layer = std::make_shared<nn::BatchNorm>(shape[3]);
    add(text_of("batch_norm ", shape), {normal(shape), layer->weight, layer->bias},
        [layer](const Inputs& x) { return (*layer)(x[0]); });
  }
  const auto product = [&](std::int64_t m, std::int64_t k, std::int64_t n) {
    add(
        text_of("matmul ", m, "x", k, "x", n), {normal({m, k}), normal({k, n})},
        [](const Inputs& x) { return matmul(x[0], x[1]); }, 2.0 * static_cast<double>(m * n * k));
  };
  product(1024, 1024, 1024);
  product(512, 512, 512);
  product(128, 784, 512);
  product(64, 64, 64);
  product(64, 1024, 10);
  {
    const auto layer = std::make_shared<nn::Linear>(784, 512);
    add(
        "linear 128x784x512", {normal({128, 784}), layer->weight, layer->bias},
        [layer](const Inputs& x) { return (*layer)(x[0]); }, 2.0 * 128 * 784 * 512);
  }
  add("transpose [1024, 1024]", {normal(large)}, [](const Inputs& x) { return transpose(x[0], 0, 1); });
  add("transpose [64, 128, 64]", {normal({64, 128, 64})}, [](const Inputs& x) { return transpose(x[0], 1, 2); });
  add("concat_1 [1024, 512]", {normal({1024, 512}), normal({1024, 512})}, [](const Inputs& x) {
    return concat({x[0], x[1]}, 1);
  });
  add("gather [1024, 1024]", {normal(large), classes(1024, 1024)}, [](const Inputs& x) { return gather(x[0], x[1]); });
  add("one_hot [1024, 100]", {classes(1024, 100)}, [](const Inputs& x) { return one_hot(x[0], 100); });
  for (const Shape& shape : {Shape{32, 32, 32, 64}, Shape{64, 28, 28, 8}}) {
    add(text_of("max_pool2 ", shape), {normal(shape)}, [](const Inputs& x) { return nn::max_pool2d(x[0], 2); });
    add(text_of("avg_pool2 ", shape), {normal(shape)}, [](const Inputs& x) { return nn::avg_pool2d(x[0], 2); });
    add(text_of("global_avg_pool ", shape), {normal(shape)}, [](const Inputs& x) { return nn::global_avg_pool(x[0]); });
  }
  {
    const auto layer = std::make_shared<nn::Dropout>(0.5);
    add("dropout [1024, 1024]", {normal(large)}, [layer](const Inputs& x) { return (*layer)(x[0]); });
  }
  struct Convolution {
    std::int64_t batch, size, in, out, kernel, stride = 1, groups = 1;
  };
  for (const auto& [batch, size, in, out, kernel, stride, groups] : {Convolution{16, 32, 64, 64, 3},
                                                                     {16, 8, 256, 256, 3},
                                                                     {16, 32, 64, 128, 3, 2},
                                                                     {16, 31, 24, 64, 3},
                                                                     {16, 15, 64, 256, 3},
                                                                     {16, 7, 256, 256, 3},
                                                                     {16, 16, 256, 64, 1},
                                                                     {16, 16, 32, 64, 5},
                                                                     {16, 32, 64, 64, 3, 1, 64},
                                                                     {16, 32, 3, 64, 3},
                                                                     {16, 64, 3, 64, 7, 2},
                                                                     {64, 28, 1, 16, 3, 2}}) {
    const auto layer = std::make_shared<nn::Conv2d>(
        in, out, nn::Conv2dOptions{.kernel_size = kernel, .stride = stride, .padding = kernel / 2, .groups = groups});
    const std::int64_t pixels = (size + 2 * (kernel / 2) - kernel) / stride + 1;
    add(
        text_of("conv ", kernel, "x", kernel, " ", in, "-", out, " @", size, " stride ", stride, " groups ", groups,
                " batch ", batch),
        {normal({batch, size, size, in}), layer->weight, layer->bias},
        [layer](const Inputs& x) { return (*layer)(x[0]); },
        2.0 * static_cast<double>(batch * pixels * pixels * out * kernel * kernel * in / groups));
  }
  return all;
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// A call; backwards from y with the gradient dy of its shape, as PyTorch's y.backward(dy).
void run(const Case& c, const Tensor& dy) {
  if (!dy.defined()) return no_grad([&] { c.call(c.inputs); });
  const Tensor y = c.call(c.inputs), end = Tensor::zeros({});
  record(end, "end", {y}, [&](const Tensor&, Gradients& to) { to.add(0, dy); });
  end.backward();
  for (const Tensor& x : c.inputs)
    if (x.requires_grad()) x.node()->grad = {};
}

double microseconds(const Case& c, bool backward, double seconds) {
  for (const Tensor& x : c.inputs)
    if (x.dtype() == DType::f32 && x.requires_grad() != backward) x.requires_grad_(backward);
  Tensor dy;
  if (const Tensor y = c.call(c.inputs); backward) {
    if (!y.requires_grad()) return 0;  // it has no gradient
    dy = normal(y.shape());
  }
  run(c, dy);
  std::vector<double> times;
  for (const auto start = Clock::now(); seconds_since(start) < seconds || times.size() < 3;) {
    const auto begin = Clock::now();
    run(c, dy);
    times.push_back(seconds_since(begin) * 1e6);
  }
  std::nth_element(times.begin(), times.begin() + std::ssize(times) / 2, times.end());
  return times[times.size() / 2];
}

// GB/s of y = x, read and written, for arrays of 4 MB.
double copy_rate() {
  const Tensor x = normal({1024, 1024}), y = Tensor::empty(x.shape());
  double best = 1e9;
  for (int i = 0; i < 200; ++i) {
    const auto start = Clock::now();
    y.copy_(x);
    best = std::min(best, seconds_since(start));
  }
  return 2e-9 * 4 * 1024 * 1024 / best;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  if (arguments.empty()) return 2;
  if (arguments.size() > 1) set_num_threads(std::stoi(arguments[1]));
  if (arguments[0] == "peak") {
    std::printf("{\"gflops\": %.1f, \"gbytes\": %.1f}\n", bench::fma_peak(std::stoi(arguments[1]), 1), copy_rate());
    return 0;
  }
  const auto all = cases();
  if (arguments[0] == "list") {
    for (const auto& [name, c] : all)
      std::printf("{\"name\": \"%s\", \"flops\": %.0f, \"bytes\": %.0f}\n", name.c_str(), c.flops, c.bytes);
    return 0;
  }
  std::string line;
  while (std::getline(std::cin, line)) {  // <seconds> <direction> <case>
    const std::size_t first = line.find(' '), second = line.find(' ', first + 1);
    const double seconds = std::stod(line.substr(0, first));
    const bool backward = line.substr(first + 1, second - first - 1) == "backward";
    std::printf("%.3f\n", microseconds(all.at(line.substr(second + 1)), backward, seconds));
    std::fflush(stdout);
  }
}
