// The CUDA half: every operation of the table against the CPU in f64, and what the device itself promises. On a machine
// without a GPU the kernels run in the executor of tests/cuda_executor, in every order of threads. Without CUDA in the
// build, that building says so.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <string_view>
#include <utility>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/graph.h"
#include "core/index.h"
#include "core/layout.h"
#include "core/matmul.h"
#include "core/pointwise.h"
#include "core/random.h"
#include "core/reduce.h"
#include "core/step_values.h"
#include "core/unary.h"
#include "core/view.h"
#include "cutmix.h"
#include "data/transform.h"
#include "error.h"
#include "gather_mixed.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/cross_entropy.h"
#include "nn/dropout.h"
#include "nn/pool.h"
#include "on_cuda.h"
#include "op_cases.h"

using namespace mixgrad;
using namespace mixgrad::test;

#ifndef MIXGRAD_WITH_CUDA

TEST_CASE("cuda: a build without it says so") {
  const char* const message = "this build of mixgrad has no CUDA; configure it with -DMIXGRAD_CUDA=ON";
  CHECK_THROWS_WITH_AS(Tensor::zeros({2}, {.device = cuda}), message, Error);
  CHECK_THROWS_WITH_AS(Tensor::zeros({2}).to(cuda), message, Error);
  CHECK_THROWS_WITH_AS(check_available(cuda), message, Error);
}

#else

namespace {

std::vector<double> flat(const Evaluation& evaluation) {
  std::vector<double> all = evaluation.output.to_vector<double>();
  for (const Tensor& gradient : evaluation.gradients) {
    const auto values = gradient.to_vector<double>();
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

Inputs on_cuda(const Inputs& inputs) {
  Inputs moved;
  for (const Tensor& input : inputs) moved.push_back(input.to(cuda));
  return moved;
}

Tensor normal(const Shape& shape, std::uint64_t seed) {
  return make_inputs({shape}, Domain::normal, DType::f32, seed)[0];
}

bool same_values(const Tensor& a, const Tensor& b) { return a.to_vector<float>() == b.to_vector<float>(); }

}  // namespace

TEST_CASE("cuda: every operation agrees with the CPU in f64, in its output and in every gradient") {
  for (const OpCase& op : op_cases()) {
    if (op.needs_f64) continue;
    INFO(op.name);
    const Inputs inputs = make_inputs(op, DType::f32);
    std::vector<double> device;
    try {
      device = in_every_order([&] { return flat(evaluate(op, on_cuda(inputs))); });
    } catch (const std::exception& error) {
      FAIL_CHECK(std::string(error.what()));
      continue;
    }
    CHECK(relative_error(device, flat(evaluate(op, make_inputs(op, DType::f64)))) <= op.f32_tolerance);
  }
}

TEST_CASE("cuda: a nan in the input goes where it goes on the CPU, in every operation and its gradients") {
  const auto nan_at = [](Inputs inputs, std::size_t input, std::int64_t element) {
    auto values = inputs[input].to_vector<float>();
    values[static_cast<std::size_t>(element)] = std::nanf("");
    inputs[input] = Tensor::from(values, inputs[input].shape());
    return inputs;
  };
  const auto are_nan = [](const std::vector<double>& values) {
    std::vector<bool> result;
    for (const double value : values) result.push_back(std::isnan(value));
    return result;
  };
  for (const OpCase& op : op_cases()) {
    if (op.needs_f64) continue;
    INFO(op.name);
    const Inputs inputs = make_inputs(op, DType::f32);
    for (std::size_t input = 0; input < inputs.size(); ++input)
      for (const std::int64_t element : {std::int64_t{0}, inputs[input].numel() / 2, inputs[input].numel() - 1}) {
        if (inputs[input].numel() == 0) continue;
        CAPTURE(input);
        CAPTURE(element);
        const Inputs with_nan = nan_at(inputs, input, element);
        const auto there = are_nan(flat(evaluate(op, on_cuda(with_nan)))), here = are_nan(flat(evaluate(op, with_nan)));
        // A GPU's product of dy and the weights multiplies the rows between strides as well, by 0: nan spreads there.
        const bool may_spread = std::string_view(op.name).starts_with("conv2d") && input == 1;
        CHECK(there.size() == here.size());
        CHECK(std::equal(here.begin(), here.end(), there.begin(),
                         [=](bool cpu, bool gpu) { return cpu == gpu || (may_spread && gpu); }));
      }
  }
}

TEST_CASE(
    "cuda: nan is the largest, and the smallest; the first one, or in a pooling window the last, has the gradient") {
  const float nan = std::nanf("");
  const std::vector<float> values{1, nan, HUGE_VALF, nan, -2, 3, 0, 7, -1};
  const auto both = [&](const auto& f, const Shape& shape, const std::vector<float>& gradient) {
    for (const Device device : {cpu, cuda}) {
      const Tensor x = Tensor::from(values, shape).to(device).requires_grad_();
      sum(f(x)).backward();
      CHECK(x.grad().to_vector<float>() == gradient);
    }
  };
  both([](const Tensor& x) { return max(x); }, {9}, {0, 1, 0, 0, 0, 0, 0, 0, 0});
  both([](const Tensor& x) { return min(x); }, {9}, {0, 1, 0, 0, 0, 0, 0, 0, 0});
  both([](const Tensor& x) { return max(x, 0); }, {3, 3}, {0, 1, 1, 1, 0, 0, 0, 0, 0});
  both([](const Tensor& x) { return nn::max_pool2d(x, 3); }, {1, 3, 3, 1}, {0, 0, 0, 1, 0, 0, 0, 0, 0});
  both([](const Tensor& x) { return clamp(x, -1, 5); }, {9}, {1, 0, 0, 0, 0, 1, 1, 0, 1});
  both([](const Tensor& x) { return relu(x); }, {9}, {1, 1, 1, 1, 0, 1, 0, 1, 0});
  for (const Device device : {cpu, cuda})
    CHECK(argmax(Tensor::from(values, {3, 3}).to(device), 1).to_vector<std::int32_t>() ==
          std::vector<std::int32_t>{1, 0, 1});
}

TEST_CASE("cuda: a nan gets into batch norm's running statistics, of its channel alone, as on the CPU") {
  for (const Device device : {cpu, cuda}) {
    nn::BatchNorm layer(2);
    layer.to(device);
    layer(Tensor::from({1.f, 2.f, std::nanf(""), 4.f, 5.f, 6.f}, {3, 2}).to(device));
    const auto mean = layer.running_mean.to_vector<float>(), var = layer.running_var.to_vector<float>();
    CHECK(std::isnan(mean[0]));
    CHECK(std::isnan(var[0]));
    CHECK(mean[1] == doctest::Approx(0.4));
    CHECK(var[1] == doctest::Approx(1.3));
  }
}

TEST_CASE("cuda: an extent of 0 is refused where the CPU refuses it, and else gives what it gives") {
  for (const OpCase& op : op_cases())
    for (const OpCase& empty : empty_cases(op)) {
      if (op.needs_f64) continue;
      INFO(empty.name);
      std::vector<double> here, there;
      const std::string error = error_of([&] { here = flat(evaluate(empty, make_inputs(empty, DType::f64))); });
      CHECK(error == error_of([&] { there = flat(evaluate(empty, on_cuda(make_inputs(empty, DType::f32)))); }));
      CHECK(relative_error(there, here) <= op.f32_tolerance);
    }
}

TEST_CASE("cuda: convolutions of many shapes, with and without ReLU, agree with the CPU in f64, forward and backward") {
  struct Case {
    Shape x, weight;
    nn::Conv2dOptions options;
  };
  const Case cases[] = {
      {{1, 3, 3, 1}, {1, 3, 3, 1}, {}},                           // a single output
      {{2, 9, 7, 3}, {5, 3, 3, 3}, {.stride = 2, .padding = 1}},  // no multiple of four
      {{3, 8, 8, 4}, {8, 3, 3, 4}, {.stride = 2, .padding = 1}},  // four at a time
      {{2, 6, 7, 8}, {17, 3, 3, 8}, {.padding = 1}},              // a tile of 32 columns
      {{1, 6, 6, 4}, {40, 1, 1, 4}, {}},                          // of 64
      {{1, 5, 5, 12}, {70, 3, 3, 12}, {.padding = 2}},            // of 128
      {{3, 20, 20, 4}, {4, 5, 5, 4}, {.kernel_size = 5, .stride = 3}},
      {{2, 14, 14, 4}, {8, 3, 3, 4}, {.padding = 1}},               // the weight gradient is split among blocks
      {{3, 14, 14, 4}, {17, 1, 1, 4}, {}},                          // by a tile of one team
      {{2, 14, 14, 8}, {8, 3, 3, 4}, {.padding = 1, .groups = 2}},  // of groups
      {{2, 4, 4, 32}, {8, 1, 1, 32}, {}},                           // no room for the bias in its last tile
      {{1, 3, 3, 2}, {0, 3, 3, 2}, {}},                             // no output channel
      {{2, 6, 6, 8}, {8, 3, 3, 1}, {.padding = 1, .groups = 8}},    // depthwise
      {{2, 5, 6, 6}, {9, 3, 3, 2}, {.padding = 1, .groups = 3}},    // groups
      {{2, 5, 6, 8}, {16, 3, 3, 4}, {.stride = 2, .padding = 1, .groups = 2, .bias = false}},
  };
  for (const Case& c : cases) {
    CAPTURE(c.x);
    CAPTURE(c.weight);
    std::vector<Shape> shapes{c.x, c.weight};
    if (c.options.bias) shapes.push_back({c.weight[0]});
    for (const auto conv2d : {nn::conv2d, nn::conv2d_relu}) {
      const auto f = [&](const Inputs& x) { return conv2d(x[0], x[1], x.size() > 2 ? x[2] : Tensor(), c.options); };
      const OpCase op{.name = "conv2d", .inputs = shapes, .f = f};
      const auto device = in_every_order([&] { return flat(evaluate(op, on_cuda(make_inputs(op, DType::f32)))); });
      CHECK(relative_error(device, flat(evaluate(op, make_inputs(op, DType::f64)))) <= 1e-5);
    }
  }
}

TEST_CASE("cuda: cross-entropy of any number of rows and classes agrees with the CPU in f64") {
  for (const auto& size : {std::pair<std::int64_t, std::int64_t>{70, 16}, {5, 17}, {37, 64}, {3, 65}, {2, 1}, {0, 4}})
    for (const bool weighted : {false, true}) {
      const std::int64_t rows = size.first, classes = size.second;
      CAPTURE(rows);
      CAPTURE(classes);
      CAPTURE(weighted);
      std::vector<std::int32_t> y(static_cast<std::size_t>(rows)), partner(y.size());
      for (std::size_t i = 0; i < y.size(); ++i) {
        y[i] = static_cast<std::int32_t>(i % static_cast<std::size_t>(classes));
        partner[i] = static_cast<std::int32_t>((3 * i + 1) % static_cast<std::size_t>(classes));
      }
      std::vector<double> weights;
      for (std::int64_t c = 0; c < classes; ++c) weights.push_back(0.5 + 0.1 * static_cast<double>(c));
      nn::CrossEntropyOptions options{.label_smoothing = 0.1};
      if (weighted) options.class_weights = Tensor::from(weights, {classes});
      const OpCase op{.name = "cross_entropy", .inputs = {{rows, classes}}, .f = [&](const Inputs& x) {
                        const Device device = x[0].device();
                        return nn::cross_entropy_mixed(x[0], Tensor::from(y, {rows}).to(device),
                                                       Tensor::from(partner, {rows}).to(device),
                                                       Tensor::full({}, 0.7, x[0].options()), options);
                      }};
      const auto device = in_every_order([&] { return flat(evaluate(op, on_cuda(make_inputs(op, DType::f32)))); });
      CHECK(relative_error(device, flat(evaluate(op, make_inputs(op, DType::f64)))) <= 1e-5);
    }
}

TEST_CASE("cuda: class weights may lie on either device, in f32 or f64") {
  const Tensor weights = Tensor::from<double>({1, 2}, {2}), logits = normal({3, 2}, 1).to(cuda);
  const Tensor y = Tensor::from<std::int32_t>({0, 1, 1}, {3}).to(cuda);
  const auto loss = [&](const Tensor& w) { return nn::cross_entropy_with({.class_weights = w})(logits, y).item(); };
  CHECK(loss(weights) == loss(weights.to(DType::f32).to(cuda)));
}

TEST_CASE("cuda: matrix products of every tile, transposed or not, agree with the CPU in f64") {
  for (const auto& size : {std::array{1, 1, 1}, std::array{3, 16, 5}, std::array{130, 17, 33}, std::array{65, 64, 16},
                           std::array{129, 130, 18}, std::array{8, 4, 0}})
    for (const bool ta : {false, true})
      for (const bool tb : {false, true}) {
        const int m = size[0], n = size[1], k = size[2];
        CAPTURE(m);
        CAPTURE(n);
        const OpCase op{
            .name = "matmul",
            .inputs = {ta ? Shape{k, m} : Shape{m, k}, tb ? Shape{n, k} : Shape{k, n}},
            .f = [=](const Inputs& x) { return matmul(x[0], x[1], {.transpose_a = ta, .transpose_b = tb}); }};
        const auto device = in_every_order([&] { return flat(evaluate(op, on_cuda(make_inputs(op, DType::f32)))); });
        CHECK(relative_error(device, flat(evaluate(op, make_inputs(op, DType::f64)))) <= 1e-5);
      }
}

TEST_CASE("cuda: sums over many rows are cut into slabs") {
  for (const Shape& shape : {Shape{9000}, Shape{1, 5000, 3}, Shape{2, 300, 40}, Shape{600, 300}, Shape{3, 0, 2}}) {
    CAPTURE(shape);
    const Tensor x = normal(shape, 3);
    const int axis = shape.rank() == 1 ? 0 : 1;
    const auto device =
        in_every_order([&] { return sum(x.to(cuda), axis).to(cpu).to(DType::f64).to_vector<double>(); });
    const auto exact = sum(x.to(DType::f64), axis).to_vector<double>();
    CHECK(relative_error(device, exact) <= 1e-5);
  }
}

TEST_CASE(
    "cuda: batch norm of many channels and many rows, with and without an activation, agrees with the CPU in f64") {
  for (const Shape& shape : {Shape{4, 3}, Shape{7, 300}, Shape{3, 1028}, Shape{9000, 24}, Shape{2, 2, 2, 2053}})
    for (const functions::Activation& activation : std::initializer_list<functions::Activation>{
             functions::Identity{}, functions::Relu{}, functions::Silu{}, functions::Gelu{}}) {
      CAPTURE(shape);
      CAPTURE(activation.index());
      const Shape channels{shape[shape.rank() - 1]};
      const OpCase op{.name = "batch_norm", .inputs = {shape, channels, channels}, .f = [=](const Inputs& x) {
                        nn::BatchNorm layer(channels[0]);
                        layer.weight = x[1];
                        layer.bias = x[2];
                        layer.running_mean = Tensor::zeros(channels, x[0].options());
                        layer.running_var = Tensor::ones(channels, x[0].options());
                        return layer.forward_activated(x[0], activation);
                      }};
      const auto device = [&] { return flat(evaluate(op, on_cuda(make_inputs(op, DType::f32)))); };
      // In every order where there are not too many threads for that.
      const auto result = shape.numel() < 10000 ? in_every_order(device) : device();
      CHECK(relative_error(result, flat(evaluate(op, make_inputs(op, DType::f64)))) <= 1e-5);
    }
}

TEST_CASE("cuda: batch norm's variance does not depend on which row is far from the others") {
  for (const std::int64_t row : {0, 1, 5000, 9999}) {
    CAPTURE(row);
    Tensor x = normal({10000, 1}, 5) + 100.0;
    x.mutable_data<float>()[row] = 0;
    const auto result = [&](Device device, DType dtype) {
      nn::BatchNorm layer(1, {.momentum = 1});
      for (Tensor* tensor : {&layer.weight, &layer.bias, &layer.running_mean, &layer.running_var})
        *tensor = tensor->to(dtype).to(device);
      const Tensor y = layer(x.to(dtype).to(device));
      return std::pair(flat({.output = y.to(cpu).to(DType::f64), .gradients = {}}), layer.running_var.item());
    };
    const auto [y, var] = result(cuda, DType::f32);
    const auto [expected, expected_var] = result(cpu, DType::f64);
    CHECK(std::abs(var / expected_var - 1) < 1e-6);
    CHECK(relative_error(y, expected) < 1e-6);  // the largest is -70, of the row that is far away
  }
}

TEST_CASE("cuda: batch norm moves its running mean and unbiased variance as the CPU does in f64") {
  const Tensor x = normal({5, 3}, 6) * 3.0 + 1.0;
  const auto running = [&](Device device, DType dtype) {
    nn::BatchNorm layer(3, {.momentum = 0.25});
    layer.weight = layer.weight.detach().to(dtype).to(device);
    layer.bias = layer.bias.detach().to(dtype).to(device);
    layer.running_mean = layer.running_mean.to(dtype).to(device);
    layer.running_var = layer.running_var.to(dtype).to(device);
    for (int batch = 0; batch < 2; ++batch) layer(x.to(dtype).to(device));
    return concat({layer.running_mean, layer.running_var}, 0).to(cpu).to(DType::f64).to_vector<double>();
  };
  const auto device = in_every_order([&] { return running(cuda, DType::f32); });
  CHECK(relative_error(device, running(cpu, DType::f64)) <=
        1e-6);  // a few roundings; the biased variance is off by 1/5
}

TEST_CASE("cuda: batch norm of 3 and 5 channels, where a thread has several elements, agrees with the CPU in f64") {
  for (const std::int64_t channels : {3, 5}) {
    CAPTURE(channels);
    const std::int64_t rows = 2'100'000 / channels + 7;
    nn::BatchNorm layer(channels);
    layer.eval();
    for (const Tensor& each : {layer.weight, layer.bias, layer.running_mean})
      each.detach().copy_(normal({channels}, static_cast<std::uint64_t>(7 + each.is(layer.bias))));
    const Tensor x = Tensor::full({rows, channels}, 1.5), expected = layer(x.to(cpu));
    for (Tensor* each : {&layer.weight, &layer.bias, &layer.running_mean, &layer.running_var})
      *each = each->detach().to(cuda);
    const Tensor y = layer(x.to(cuda)).to(cpu);
    CHECK(max(abs(y - expected)).item() <= 1e-5);  // values of size 1 to 4
  }
}

TEST_CASE("cuda: of equal elements the first is the maximum, and has the gradient, as on the CPU") {
  Random random(9);
  std::vector<float> few(static_cast<std::size_t>(4 * 70 * 6));  // 0 and 1, both zeros, and a nan here and there
  for (float& value : few) {
    const std::uint32_t draw = random.below(40);
    value = draw == 0 ? NAN : draw % 3 == 0 ? 1.0f : draw % 3 == 1 ? 0.0f : -0.0f;
  }
  const float inf = std::numeric_limits<float>::infinity();
  for (const Tensor& x :
       {Tensor::from(few, {4, 70, 6}), Tensor::full({4, 70, 6}, -inf), Tensor::full({4, 70, 6}, NAN)}) {
    const auto result = [&](Device device) {
      std::vector<double> all;
      const auto add = [&](const Tensor& y) {
        for (const double value : y.to(cpu).to(DType::f64).to_vector<double>())
          all.push_back(std::isnan(value) ? 7 : value);
      };
      for (const int axis : {0, 1, 2}) {
        add(argmax(x.to(device), axis));
        for (const bool largest : {true, false}) {
          const Tensor leaf = x.to(device).detach().requires_grad_(), y = largest ? max(leaf, axis) : min(leaf, axis);
          add(y);
          sum(y * normal(y.shape(), 3).to(device)).backward();
          add(leaf.grad());
        }
      }
      const Tensor images = reshape(x.to(device), {2, 20, 14, 3}).detach().requires_grad_();
      const Tensor y = nn::max_pool2d(images, 3, {.stride = 2, .padding = 1});
      add(y);
      sum(y * Tensor::ones(y.shape(), y.options())).backward();
      add(images.grad());
      return all;
    };
    CHECK(in_every_order([&] { return result(cuda); }) == result(cpu));
  }
}

TEST_CASE("cuda: dropout takes the stream that next_row has put in its place just before") {
  const Tensor x = Tensor::ones({1000});
  const auto dropped = [&](Device device, std::uint32_t stream) {
    manual_seed(3);
    random_state().streams = stream;
    return nn::Dropout(0.5)(x.to(device)).to(cpu).to(DType::f64).to_vector<double>();
  };
  const auto behind_next_row = in_every_order([&] {
    manual_seed(3);
    StepTable table(cuda, 2);
    Tensor first;
    for (const std::int32_t stream : {4, 6}) first = table.begin_row().put(Tensor::from({stream}, {1}));
    const StepStreamsFrom from(first);
    table.upload();
    std::vector<double> all;
    for (int row = 0; row < 2; ++row) {
      const Tensor moved = x.to(cuda);
      table.next();
      const auto values = nn::Dropout(0.5)(moved).to(cpu).to(DType::f64).to_vector<double>();
      all.insert(all.end(), values.begin(), values.end());
    }
    return all;
  });
  auto expected = dropped(cpu, 4);
  const auto second = dropped(cpu, 7);  // the second call since from was made: 6 + 1
  expected.insert(expected.end(), second.begin(), second.end());
  CHECK(behind_next_row == expected);
}

TEST_CASE("cuda: gradients of many leaves, of one that is used twice and of an empty one add up") {
  const auto result = in_every_order([] {
    std::vector<Tensor> leaves;
    for (int i = 0; i < 70; ++i) leaves.push_back(Tensor::full({i % 7 * 50}, i, {.device = cuda}).requires_grad_());
    for (int round = 0; round < 2; ++round) {
      Tensor total = Tensor::zeros({}, {.device = cuda});
      for (const Tensor& leaf : leaves) total = total + sum(leaf * leaf);
      total.backward();
    }
    std::vector<double> all;
    for (const Tensor& leaf : leaves)
      for (const float value : leaf.grad().to_vector<float>()) all.push_back(value);
    return all;
  });
  std::vector<double> expected;
  for (int i = 0; i < 70; ++i) expected.insert(expected.end(), static_cast<std::size_t>(i % 7 * 50), 4.0 * i);
  CHECK(result == expected);
}

TEST_CASE("cuda: a tensor moves there and back, and its gradient the other way") {
  const Tensor x = normal({3, 5}, 4).requires_grad_();
  const Tensor moved = x.to(cuda);
  CHECK(moved.device() == cuda);
  CHECK(moved.to_vector<float>() == x.to_vector<float>());
  sum(moved * moved).backward();
  CHECK(x.grad().device() == cpu);
  CHECK(x.grad().to_vector<float>() == (x.detach() * 2.0).to_vector<float>());
  const Tensor bytes = Tensor::from(std::vector<std::uint8_t>{1, 2, 255}, {3}).to(cuda);
  CHECK(bytes.to(DType::i32).to_vector<std::int32_t>() == std::vector<std::int32_t>{1, 2, 255});
  std::vector<float> many(std::size_t{3} << 20);  // more than one staging slot holds
  for (std::size_t i = 0; i < many.size(); ++i) many[i] = static_cast<float>(i);
  CHECK(Tensor::from(many, {std::ssize(many)}).to(cuda).to_vector<float>() == many);
}

TEST_CASE("cuda: every operation in place is noticed by a backward that needs the old values") {
  const Tensor here = normal({70}, 5), there = here.to(cuda);
  const std::function<void(const Tensor&)> operations[] = {
      [](const Tensor& x) { x.fill_(1); }, [&](const Tensor& x) { x.copy_(there); },
      [&](const Tensor& x) { x.copy_(here); }, [&](const Tensor& x) { add_(x, there); },
      [&](const Tensor& x) {
        add_each_(std::vector<Addition>{{x, there}});
      }};
  for (const auto& write : operations) {
    const Tensor x = normal({70}, 4).to(cuda).requires_grad_();
    const Tensor loss = sum(x * x);
    no_grad([&] { write(x); });
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("modified in place"), Error);
  }
}

TEST_CASE("cuda: what is wrong is said, with the operation's name") {
  const Tensor here = Tensor::ones({2, 2}), there = here.to(cuda);
  CHECK_THROWS_WITH_AS(here + there, "add: operands on cpu and cuda", Error);
  CHECK_THROWS_WITH_AS(matmul(there, here), "matmul: operands on cuda and cpu", Error);
  CHECK_THROWS_WITH_AS(Tensor::zeros({2}, {.dtype = DType::f64, .device = cuda}),
                       "tensor: f64 exists on the CPU only; use f32 on cuda", Error);
  CHECK_THROWS_WITH_AS(there.data<float>(), "tensor: is on cuda, read on cpu; make a copy there with to(cpu)", Error);
  CHECK_THROWS_WITH_AS(here.data<float>(cuda), "tensor: is on cpu, read on cuda; make a copy there with to(cuda)",
                       Error);
}

TEST_CASE("cuda: every operation with operands on two devices is refused, by both their names") {
  for (const OpCase& op : op_cases()) {
    if (op.needs_f64) continue;
    for (std::size_t other = 0; op.inputs.size() > 1 && other < op.inputs.size(); ++other) {
      INFO(op.name);
      CAPTURE(other);
      Inputs inputs = on_cuda(make_inputs(op, DType::f32));
      inputs[other] = inputs[other].to(cpu);
      const std::string text = error_of([&] { op.f(inputs); });
      check_contains(text, "cpu");
      check_contains(text, "cuda");
    }
  }
}

TEST_CASE("cuda: an index outside its table is reported when the host next waits, and the device goes on") {
  const Tensor table = Tensor::ones({5, 2}, {.device = cuda});
  const Tensor rows = gather(table, Tensor::from({1, 4, 0, 7, 9}, {5}).to(cuda));
  CHECK_THROWS_WITH_AS(rows.to(cpu), "gather: index 7 at position 3 is outside 0..4", Error);
  CHECK(sum(table).item() == 10);
  // Of nothing, at once: there is no row that the kernel could read instead.
  const Tensor index = Tensor::from({0}, {1}).to(cuda);
  check_refused(
      [&] {
        gather(Tensor::zeros({0, 2}, {.device = cuda}), index);
      },
      "gather: 1 indices into an axis of size 0");
  check_refused([&] { one_hot(index, 0); }, "one_hot: 1 indices into an axis of size 0");
  const auto none =
      std::make_shared<data::ImageDataset>(data::LabelledImages{Tensor::zeros({0, 2, 2, 1}, {.dtype = DType::u8}),
                                                                Tensor::zeros({0}, {.dtype = DType::i32})},
                                           std::vector<std::string>{"a"});
  check_refused([&] { none->to(cuda)->gather_batch(index); }, "dataset: 1 samples of an empty dataset");
}

TEST_CASE("cuda: at lambda 1 and 0 a mixture is one side exactly, and so it is for equal sides") { check_mix(cuda); }

TEST_CASE("cuda: images gathered and mixed in one pass are those gathered and then mixed, to the last bit") {
  check_gather_mixed(cuda);
}

TEST_CASE("cuda: a box of one image is replaced by that of its partner, in one pass over bytes too") {
  check_cutmix(cuda);
}

TEST_CASE("cuda: every byte becomes the same float as on the CPU") {
  std::vector<std::uint8_t> bytes(5 * 16 * 16);
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(i);
  const data::ImageDataset images({Tensor::from(bytes, {5, 16, 16, 1}), Tensor::zeros({5}, {.dtype = DType::i32})},
                                  {"0"});
  const Tensor numbers = Tensor::from<std::int32_t>({3, 0, 4, 1, 2}, {5});
  const auto device = in_every_order([&] {
    const Tensor x = images.to(cuda)->gather_batch(numbers.to(cuda)).x;
    return x.to(cpu).to(DType::f64).to_vector<double>();
  });
  CHECK(device == images.gather_batch(numbers).x.to(DType::f64).to_vector<double>());
}

TEST_CASE("cuda: images are transformed to the same bits as on the CPU, captured or not") {
  using enum data::Border;
  const data::Transform transforms[] = {data::random_crop({.padding = 2}),
                                        data::random_crop({.padding = 2, .border = reflect}),
                                        data::horizontal_flip(),
                                        data::horizontal_flip({.alternating = true}),
                                        data::cutout({.size = 3, .fill = 0.5f}),
                                        data::brightness_contrast({.brightness = 0.3, .contrast = 0.2})};
  for (const Shape& shape :
       {Shape{5, 3, 3, 1}, {7, 5, 7, 3}, {3, 4, 6, 4}, {2, 3, 5, 2}, {9, 12, 12, 3}, {0, 3, 3, 1}}) {
    const Tensor x = normal(shape, 3), there = x.to(cuda);
    std::vector<std::int32_t> indices(static_cast<std::size_t>(shape[0]), 0);
    for (std::size_t n = 0; n < indices.size(); ++n) indices[n] = static_cast<std::int32_t>(3 * n);
    for (const data::Transform& transform : transforms) {
      INFO(transform.description());
      CAPTURE(shape);
      Random random(4);
      const auto drawn = transform.draw({.indices = indices, .height = shape[1], .width = shape[2], .pass = 1}, random);
      const Tensor table = Tensor::from(drawn, {std::ssize(drawn)}), table_there = table.to(cuda);
      const auto expected = transform.apply(x, table).to(DType::f64).to_vector<double>();
      CHECK(in_every_order([&] {
              return transform.apply(there, table_there).to(cpu).to(DType::f64).to_vector<double>();
            }) == expected);
      Random other(5), same(5);
      CHECK(same_values(transform(there, other), transform(x, same)));
      Tensor y;
      const Graph graph([&] { y = transform.apply(there, table_there); });
      graph.replay();
      CHECK(y.to(cpu).to(DType::f64).to_vector<double>() == expected);
      if (shape[0] > 0) check_refused([&] { transform.apply(there, table); }, ": operands on cuda and cpu");
    }
  }
}

TEST_CASE("cuda: a table that was not drawn for these images gives the same as on the CPU, and reads nothing else") {
  const float entries[] = {-HUGE_VALF, -3e9f, -6, -5, -4, -1.5f, 0, 0.5f, 3, 4, 5, 8, 3e9f, std::nanf("")};
  std::vector<float> table;
  for (const float first : entries)
    for (const float second : entries) table.insert(table.end(), {first, second});
  const std::int64_t count = std::ssize(table) / 2;
  const Tensor x = normal({count, 4, 5, 2}, 3), rows = Tensor::from(table, {count, 2});
  for (const data::Transform& transform :
       {data::random_crop(), data::random_crop({.border = data::Border::reflect}), data::cutout({.size = 3})}) {
    INFO(transform.description());
    CHECK(same_values(transform.apply(x.to(cuda), rows.to(cuda)), transform.apply(x, rows)));
  }
}

TEST_CASE("cuda: memory is used again, and all of it is counted") {
  if (!allocator_caches()) return;
  { const Tensor first = Tensor::zeros({1000}, {.device = cuda}); }
  const AllocatorStats before = allocator_stats(cuda);
  { const Tensor second = Tensor::zeros({1000}, {.device = cuda}); }
  CHECK(allocator_stats(cuda).misses == before.misses);
  CHECK(allocator_stats(cuda).hits == before.hits + 1);
  CHECK(allocator_stats(cuda).bytes_in_use == before.bytes_in_use);
}

#ifdef MIXGRAD_CUDA_EXECUTOR

TEST_CASE("cuda: without memory, the error says how much was asked and how much is held; what is held stays") {
  const Tensor held = Tensor::ones({1000}, {.device = cuda});
  const std::size_t memory = std::exchange(executor::machine.memory, std::size_t{64} << 10);
  const std::string text = error_of([] { Tensor::zeros({1000000}, {.device = cuda}); });
  executor::machine.memory = memory;
  check_contains(text, "out of memory: tried to allocate 4");
  check_contains(text, "are in use");
  CHECK(sum(held).item() == 1000);
}

TEST_CASE("cuda: a machine without a device, or with one that is too old, says so") {
  const executor::Machine machine = executor::machine;
  executor::machine.devices = 0;
  const std::string none = error_of([] { check_available(cuda); });
  executor::machine = machine;
  executor::machine.compute_capability_major = 7;
  executor::machine.compute_capability_minor = 5;
  const std::string old = error_of([] { check_available(cuda); });
  executor::machine = machine;
  check_contains(none, "no CUDA device");
  check_contains(old, "the CUDA device has compute capability 7.5; mixgrad needs 8.0");
}

#endif
#endif
