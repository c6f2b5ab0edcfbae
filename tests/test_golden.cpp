// mixgrad against PyTorch: the same inputs give the same outputs, gradients and training steps. golden/README.md says
// where the numbers come from.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "augment/mixup.h"
#include "augment/mixup_loss.h"
#include "core/autograd.h"
#include "core/log_softmax.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/view.h"
#include "golden.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/cross_entropy.h"
#include "nn/function.h"
#include "nn/linear.h"
#include "nn/models.h"
#include "nn/pool.h"
#include "train/adam.h"
#include "train/sgd.h"

namespace mixgrad {
namespace {

using test::elementwise_error;
using test::GoldenFile;
using test::in_both;
using test::leaf;
using test::relative_error;

// ---- Layers

// Tolerance 0: inputs are multiples of 1/8, so every product is a multiple of 1/64, and every partial sum, being below
// 2^10, fits the 24 bits of f32. Whatever the order of summation, there is nothing to round.
void check_conv2d(const std::string& name, const nn::Conv2dOptions& options) {
  static const GoldenFile golden("conv2d");
  CAPTURE(name);
  in_both(0, 0, [&](DType dtype, double tolerance) {
    const auto get = [&](const char* tensor) { return golden.get(name + "." + tensor, dtype); };
    const Tensor x = leaf(get("x")), weight = leaf(get("weight"));
    const Tensor bias = options.bias ? leaf(get("bias")) : Tensor();
    const Tensor y = nn::conv2d(x, weight, bias, options);
    sum(y * get("dy")).backward();
    CHECK(relative_error(y, get("y")) <= tolerance);
    CHECK(relative_error(x.grad(), get("dx")) <= tolerance);
    CHECK(relative_error(weight.grad(), get("dweight")) <= tolerance);
    if (options.bias) CHECK(relative_error(bias.grad(), get("dbias")) <= tolerance);
  });
}

TEST_CASE("golden: conv2d with stride 1 and padding 0, 1 and 2 equals PyTorch's") {
  check_conv2d("stride_1_padding_0", {.stride = 1, .padding = 0});
  check_conv2d("stride_1_padding_1", {.stride = 1, .padding = 1});
  check_conv2d("stride_1_padding_2", {.stride = 1, .padding = 2});
}

TEST_CASE("golden: conv2d with stride 2 equals PyTorch's, also where the last pixels fill no window") {
  check_conv2d("stride_2_padding_0", {.stride = 2, .padding = 0});
  check_conv2d("stride_2_padding_1", {.stride = 2, .padding = 1});
  check_conv2d("stride_3_padding_1", {.stride = 3, .padding = 1});
}

TEST_CASE("golden: conv2d with a kernel of 1 equals PyTorch's") {
  check_conv2d("kernel_1", {.stride = 1, .padding = 0});
  check_conv2d("kernel_1_stride_2", {.stride = 2, .padding = 0});
  check_conv2d("kernel_1_padding_2", {.stride = 1, .padding = 2});
}

TEST_CASE("golden: conv2d with a kernel of 5 equals PyTorch's") {
  check_conv2d("kernel_5_padding_2", {.stride = 1, .padding = 2});
  check_conv2d("kernel_5_stride_2_padding_2", {.stride = 2, .padding = 2});
}

TEST_CASE("golden: conv2d on images of one pixel, or of the kernel's size, equals PyTorch's") {
  check_conv2d("pixel", {.stride = 1, .padding = 0});
  check_conv2d("pixel_in_padding", {.stride = 1, .padding = 1});
  check_conv2d("kernel_of_image_size", {.stride = 1, .padding = 0});
}

TEST_CASE("golden: conv2d without a bias equals PyTorch's") {
  check_conv2d("no_bias", {.stride = 2, .padding = 1, .bias = false});
}

TEST_CASE("golden: conv2d with 1 and with 16 channels equals PyTorch's") {
  check_conv2d("channels_1_to_16", {.stride = 2, .padding = 1});
  check_conv2d("channels_16_to_2", {.stride = 2, .padding = 1});
  check_conv2d("channels_16_to_16", {.stride = 1, .padding = 0});
}

TEST_CASE("golden: Linear with and without a bias equals PyTorch's") {
  const GoldenFile golden("linear");
  for (const std::string name : {"bias", "no_bias"}) {
    CAPTURE(name);
    const bool bias = name == "bias";
    in_both(0, 0, [&](DType dtype, double tolerance) {  // the inputs' grid leaves nothing to round, as for conv2d
      const auto get = [&](const char* tensor) { return golden.get(name + "." + tensor, dtype); };
      nn::Linear layer(5, 3, {.bias = bias});
      layer.weight = nn::parameter(get("weight"));
      if (bias) layer.bias = nn::parameter(get("bias"));
      const Tensor x = leaf(get("x")), y = layer(x);
      sum(y * get("dy")).backward();
      CHECK(relative_error(y, get("y")) <= tolerance);
      CHECK(relative_error(x.grad(), get("dx")) <= tolerance);
      CHECK(relative_error(layer.weight.grad(), get("dweight")) <= tolerance);
      if (bias) CHECK(relative_error(layer.bias.grad(), get("dbias")) <= tolerance);
    });
  }
}

// Two steps of training, then evaluation, on a new batch each time.
void check_batch_norm(const std::string& name, const nn::BatchNormOptions& options, double f64_tolerance,
                      double f32_tolerance) {
  static const GoldenFile golden("batch_norm");
  CAPTURE(name);
  in_both(f64_tolerance, f32_tolerance, [&](DType dtype, double tolerance) {
    const auto get = [&](const std::string& tensor) { return golden.get(name + "." + tensor, dtype); };
    const Tensor weight = get("weight"), bias = get("bias");
    nn::BatchNorm layer(weight.numel(), options);
    layer.running_mean = layer.running_mean.to(dtype);
    layer.running_var = layer.running_var.to(dtype);
    for (const std::string step : {"train1", "train2", "eval"}) {
      CAPTURE(step);
      layer.train(step != "eval");
      layer.weight = nn::parameter(weight.clone());
      layer.bias = nn::parameter(bias.clone());
      const Tensor x = leaf(get(step + ".x")), y = layer(x);
      sum(y * get(step + ".dy")).backward();
      CHECK(relative_error(y, get(step + ".y")) <= tolerance);
      CHECK(relative_error(x.grad(), get(step + ".dx")) <= tolerance);
      CHECK(relative_error(layer.weight.grad(), get(step + ".dweight")) <= tolerance);
      CHECK(relative_error(layer.bias.grad(), get(step + ".dbias")) <= tolerance);
      CHECK(relative_error(layer.running_mean, get(step + ".running_mean")) <= tolerance);
      CHECK(relative_error(layer.running_var, get(step + ".running_var")) <= tolerance);
    }
  });
}

TEST_CASE("golden: BatchNorm's outputs, gradients and running statistics equal PyTorch's") {
  const double f64_tolerance = 1e-13, f32_tolerance = 2e-6;  // some tens of roundings of 1e-16 and 6e-8
  check_batch_norm("features", {}, f64_tolerance, f32_tolerance);
  check_batch_norm("images", {}, f64_tolerance, f32_tolerance);
  check_batch_norm("other_eps_and_momentum", {.eps = 1e-1, .momentum = 0.5}, f64_tolerance, f32_tolerance);
}

TEST_CASE("golden: BatchNorm of two rows equals PyTorch's") {
  // Two rows are normalised to nearly -1 and 1 whatever they are, so dx is the thousandth part that is left when its
  // terms cancel; their roundings are not.
  check_batch_norm("two_rows", {}, 1e-12, 1e-4);
}

TEST_CASE("golden: BatchNorm equals PyTorch's where the mean is a thousand standard deviations from zero") {
  // A mean of 1000 is itself rounded by up to 6e-14 or 3e-5 of a standard deviation, and enters every output.
  check_batch_norm("mean_far_from_zero", {}, 1e-12, 1e-4);
}

TEST_CASE("golden: log_softmax equals PyTorch's, of logits of 1000 too") {
  const GoldenFile golden("log_softmax");
  for (const std::string name : {"plain", "extreme"}) {
    CAPTURE(name);
    in_both(1e-14, 1e-6, [&](DType dtype, double tolerance) {  // a dozen roundings
      const auto get = [&](const char* tensor) { return golden.get(name + "." + tensor, dtype); };
      const Tensor x = leaf(get("x")), y = log_softmax(x);
      sum(y * get("dy")).backward();
      CHECK(elementwise_error(y, get("y"), 1) <= tolerance);
      CHECK(elementwise_error(x.grad(), get("dx"), 1) <= tolerance);
    });
  }
}

void check_cross_entropy(const std::string& logits_name, const std::string& kind) {
  static const GoldenFile golden("cross_entropy");
  const std::vector<std::pair<std::string, nn::Reduction>> reductions = {
      {"none", nn::Reduction::none}, {"mean", nn::Reduction::mean}, {"sum", nn::Reduction::sum}};
  for (const auto& entry : reductions) {
    const auto& name = entry.first;
    const nn::Reduction reduction = entry.second;
    const std::string prefix = logits_name + "." + kind + "." + name + ".";
    CAPTURE(prefix);
    in_both(1e-14, 1e-6, [&](DType dtype, double tolerance) {  // a dozen roundings
      const auto get = [&](const char* tensor) { return golden.get(prefix + tensor, dtype); };
      nn::Loss loss_function = nn::cross_entropy;
      loss_function.reduction = reduction;
      const Tensor logits = leaf(golden.get(logits_name + ".logits", dtype));
      const Tensor target = kind == "index" ? golden["index"] : leaf(golden.get("dense", dtype));
      const Tensor loss = loss_function(logits, target);
      sum(loss * get("dy")).backward();
      CHECK(elementwise_error(loss, get("loss"), 1) <= tolerance);
      CHECK(elementwise_error(logits.grad(), get("dlogits"), 1) <= tolerance);
      if (kind == "dense") CHECK(elementwise_error(target.grad(), get("dtarget"), 1) <= tolerance);
    });
  }
}

TEST_CASE("golden: cross_entropy of class indices equals PyTorch's, per sample, as mean and as sum") {
  check_cross_entropy("plain", "index");
}

TEST_CASE("golden: cross_entropy of dense targets equals PyTorch's, with the gradient of the target") {
  check_cross_entropy("plain", "dense");
}

TEST_CASE("golden: cross_entropy of logits of 1000 and -1000 equals PyTorch's and is finite") {
  check_cross_entropy("extreme", "index");
  check_cross_entropy("extreme", "dense");
}

// ---- Optimizers: five steps of two parameters of different shapes.

// Tolerances: some ten roundings a step, five steps.
void check_optimizer(const std::string& name, const train::Rule& rule, double f32_tolerance = 2e-6) {
  static const GoldenFile golden("optimizers");
  CAPTURE(name);
  in_both(1e-14, f32_tolerance, [&](DType dtype, double tolerance) {
    const std::vector<Tensor> parameters = {leaf(golden.get("start.0", dtype)), leaf(golden.get("start.1", dtype))};
    train::Optimizer optimizer(parameters, rule);
    for (int step = 0; step < 5; ++step) {
      CAPTURE(step);
      if (name.ends_with("_schedule")) set_lr(optimizer.rates, slice(golden["learning_rates"], step, step + 1).item());
      const auto at_step = [&](const std::string& tensor, std::size_t i) {
        return reshape(slice(golden.get(tensor + "." + std::to_string(i), dtype), step, step + 1),
                       parameters[i].shape());
      };
      for (std::size_t i = 0; i < parameters.size(); ++i) parameters[i].grad().copy_(at_step("gradients", i));
      optimizer.step();
      for (std::size_t i = 0; i < parameters.size(); ++i)
        CHECK(elementwise_error(parameters[i], at_step(name, i), 1) <= tolerance);
    }
  });
}

TEST_CASE("golden: Adam's steps equal PyTorch's") {
  check_optimizer("adam", train::adam({.lr = 0.1, .weight_decay = 0}));
  check_optimizer("adam_999", train::adam({.lr = 0.1, .beta2 = 0.999, .weight_decay = 0}));
  check_optimizer("adam_l2", train::adam({.lr = 0.1, .weight_decay = 0.25}));
  check_optimizer("adam_large_eps", train::adam({.lr = 0.1, .eps = 0.25, .weight_decay = 0}));
}

TEST_CASE("golden: AdamW's steps equal PyTorch's") {
  check_optimizer("adamw", train::adamw({.lr = 0.1, .weight_decay = 0.25}));
  check_optimizer("adamw_999", train::adamw({.lr = 0.1, .beta2 = 0.999, .weight_decay = 0.25}));
}

TEST_CASE("golden: AdamW's steps with a new learning rate each equal PyTorch's") {
  check_optimizer("adamw_schedule", train::adamw({.weight_decay = 0.25}));
}

TEST_CASE("golden: SGD's steps equal PyTorch's, with and without weight decay") {
  check_optimizer("sgd", train::sgd({.lr = 0.1}));
  check_optimizer("sgd_weight_decay", train::sgd({.lr = 0.1, .weight_decay = 0.25}));
}

TEST_CASE("golden: SGD's steps with momentum, and with Nesterov's, equal PyTorch's") {
  check_optimizer("sgd_momentum", train::sgd({.lr = 0.1, .momentum = 0.9}));
  check_optimizer("sgd_nesterov", train::sgd({.lr = 0.1, .momentum = 0.9, .nesterov = true}));
  check_optimizer("sgd_nesterov_weight_decay",
                  train::sgd({.lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.25}));
}

// ---- Whole models: three steps of AdamW on one batch of eight images.

// [8, 28, 28, 3] in -1..1, by the formula of make_golden.py.
Tensor images(DType dtype) {
  std::vector<double> values;
  for (int n = 0; n < 8; ++n)
    for (int i = 0; i < 28; ++i)
      for (int j = 0; j < 28; ++j)
        for (int c = 0; c < 3; ++c)
          values.push_back(((n + 1) * i * i + 3 * (n + 2) * j + 5 * i * j * (c + 1) + 50 * c) % 256 / 128.0 - 1);
  return Tensor::from(values, {8, 28, 28, 3}).to(dtype);
}

const GoldenFile& start() {
  static const GoldenFile golden("simple_cnn_start");
  return golden;
}

// The names of the file are those of the model with batch norm, whose third and sixth layers the other has not.
Tensor start_of(const std::string& name, bool batch_norm, DType dtype) {
  const char layer = name.front();
  const char in_file = batch_norm ? layer : layer == '2' ? '3' : layer == '4' ? '6' : layer;
  return start().get(in_file + name.substr(1), dtype);
}

nn::Conv2d conv(std::int64_t in_channels, std::int64_t out_channels, bool bias, DType dtype) {
  nn::Conv2d layer(in_channels, out_channels, {.kernel_size = 3, .stride = 2, .padding = 1, .bias = bias});
  layer.weight = nn::parameter(layer.weight.detach().to(dtype));
  if (bias) layer.bias = nn::parameter(layer.bias.detach().to(dtype));
  return layer;
}

nn::BatchNorm batch_norm_layer(std::int64_t channels, DType dtype) {
  nn::BatchNorm layer(channels);
  layer.weight = nn::parameter(layer.weight.detach().to(dtype));
  layer.bias = nn::parameter(layer.bias.detach().to(dtype));
  layer.running_mean = layer.running_mean.to(dtype);
  layer.running_var = layer.running_var.to(dtype);
  return layer;
}

// simple_cnn itself makes f32; in f64 the same layers are put together by hand.
nn::Sequential make_model(bool batch_norm, DType dtype) {
  nn::Sequential model;
  if (dtype == DType::f32) {
    model = nn::simple_cnn({3, 16, 16, 2}, {.batch_norm = batch_norm});
  } else {
    for (const std::int64_t in_channels : {3, 16}) {
      model.add(conv(in_channels, 16, !batch_norm, dtype)).add(nn::ReLU());
      if (batch_norm) model.add(batch_norm_layer(16, dtype));
    }
    model.add(conv(16, 2, true, dtype)).add(nn::ReLU()).add(nn::GlobalAvgPool()).add(nn::Flatten());
  }
  const NoGrad off;
  for (const auto& [name, tensor] : nn::named_parameters(model)) tensor.copy_(start_of(name, batch_norm, dtype));
  return model;
}

enum class Mixing { none, per_sample, batch_mean };

Tensor loss_of(nn::Sequential& model, const Tensor& x, Mixing mixing) {
  const Tensor& labels = start()["labels"];
  if (mixing == Mixing::none) return nn::cross_entropy(model(x), labels);
  const augment::MixPlan plan{start().get("lambda", DType::f32).to_vector<float>(),
                              start()["permutation"].to_vector<std::int32_t>()};
  const auto weight = mixing == Mixing::per_sample ? augment::LossWeight::lambda : augment::LossWeight::batch_mean;
  return augment::MixUpLoss(nn::cross_entropy, weight)(model(mix(x, plan)), augment::mixed_target(labels, plan));
}

struct ModelCase {
  std::string name;
  Mixing mixing = Mixing::none;
  bool batch_norm = false;
  std::vector<int> steps = {};  // after which the file has the parameters
};

void check_model(const ModelCase& model_case) {
  const GoldenFile golden("simple_cnn_" + model_case.name);
  // f64: the files have nine digits. f32: sums of a thousand terms through three layers, each number rounded by 6e-8.
  in_both(1e-8, 1e-5, [&](DType dtype, double tolerance) {
    nn::Sequential model = make_model(model_case.batch_norm, dtype);
    train::Optimizer optimizer(nn::parameters(model), train::adamw({.lr = 3e-3, .beta2 = 0.99, .weight_decay = 0.01}));
    const Tensor x = images(dtype);
    const auto check_all = [&](const std::string& prefix, const std::vector<nn::NamedTensor>& tensors) {
      for (const auto& [name, tensor] : tensors) {
        const std::string in_file = prefix + name;
        CAPTURE(in_file);
        CHECK(relative_error(tensor, golden[in_file]) <= tolerance);
      }
    };
    std::vector<double> losses;
    for (int step = 1; step <= 3; ++step) {
      optimizer.zero_grad();
      const Tensor loss = loss_of(model, x, model_case.mixing);
      loss.backward();
      losses.push_back(loss.item());
      if (step == 1) {
        std::vector<nn::NamedTensor> gradients = nn::named_parameters(model);
        for (auto& [name, tensor] : gradients) tensor = tensor.grad();
        check_all("gradient.", gradients);
      }
      optimizer.step();
      if (std::ranges::count(model_case.steps, step) > 0)
        check_all("step" + std::to_string(step) + ".", nn::named_parameters(model));
    }
    CHECK(relative_error(Tensor::from(losses, {3}), golden["losses"]) <= tolerance);
    check_all("step3.", nn::named_buffers(model));
    model.eval();
    CHECK(relative_error(no_grad([&] { return model(x); }), golden["eval_logits"]) <= tolerance);
  });
}

TEST_CASE("golden: simple_cnn's loss, gradients and three steps of AdamW equal PyTorch's") {
  check_model({.name = "plain", .steps = {1, 3}});
}

TEST_CASE("golden: three steps with mixup, each sample's own lambda in the loss, equal PyTorch's") {
  check_model({.name = "mixup", .mixing = Mixing::per_sample, .steps = {3}});
}

TEST_CASE("golden: three steps with mixup, the batch's mean lambda in the loss, equal PyTorch's") {
  check_model({.name = "mixup_batch_mean", .mixing = Mixing::batch_mean});
}

TEST_CASE("golden: three steps of simple_cnn with batch norm, and its evaluation, equal PyTorch's") {
  check_model({.name = "batch_norm", .batch_norm = true, .steps = {3}});
}

// ---- The comparison itself

TEST_CASE("golden: a result that is not finite is infinitely wrong, one of another shape an error") {
  const Tensor expected = Tensor::from({1.0F, 2.0F}, {2});
  CHECK(relative_error(Tensor::from({1.0F, 3.0F}, {2}), expected) == 0.5);
  CHECK(elementwise_error(Tensor::from({1.5F, 2.0F}, {2}), expected, 0) == 0.5);
  CHECK(std::isinf(relative_error(log(Tensor::from({-1.0F, 1.0F}, {2})), expected)));
  CHECK_THROWS_AS(relative_error(expected, Tensor::zeros({2, 1})), Error);
}

TEST_CASE("golden: a file or tensor that does not exist is an error") {
  CHECK_THROWS_WITH_AS(GoldenFile("missing"), doctest::Contains("missing.txt"), Error);
  CHECK_THROWS_WITH_AS(GoldenFile("linear")["missing"], doctest::Contains("has no tensor missing"), Error);
}

}  // namespace
}  // namespace mixgrad
