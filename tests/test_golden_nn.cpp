// nn's layers, losses and models against PyTorch, values and gradients. golden/nn_cases.py has the same tables.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "core/autograd.h"
#include "core/reduce.h"
#include "core/view.h"
#include "golden.h"
#include "golden_models.h"
#include "nn/conv2d.h"
#include "nn/cross_entropy.h"
#include "nn/function.h"
#include "nn/layer_norm.h"
#include "nn/loss.h"
#include "nn/models.h"
#include "nn/pool.h"
#include "train/adam.h"

namespace mixgrad {
namespace {

using test::check_case;
using test::digest;
using test::GoldenFile;
using test::in_both;
using test::Inputs;
using test::noise;
using test::relative_error;
using test::Start;
using test::Tolerance;

// ---- Layers. Tolerance 0 where the inputs' grid leaves nothing to round, in f32 either.

struct PoolCase {
  std::string name;
  std::int64_t kernel_size;
  nn::Pool2dOptions options = {};
};

const PoolCase pool_cases[] = {{"kernel_2", 2},
                               {"cut_off", 2},
                               {"overlapping", 3, {.stride = 1}},
                               {"padded", 3, {.stride = 2, .padding = 1}},
                               {"kernel_4_padding_2", 4, {.stride = 3, .padding = 2}},
                               {"gaps", 2, {.stride = 3}},
                               {"kernel_1", 1},
                               {"kernel_of_image_size", 3}};

TEST_CASE("golden: max_pool2d equals PyTorch's, the gradient at the first of equal maxima") {
  const GoldenFile golden("pool");
  for (const PoolCase& c : pool_cases)
    check_case(golden, "max." + c.name, {"x"},
               [&](const Inputs& in) { return nn::max_pool2d(in[0], c.kernel_size, c.options); });
}

TEST_CASE("golden: avg_pool2d equals PyTorch's, padding counted as zeros") {
  const GoldenFile golden("pool");
  for (const PoolCase& c : pool_cases)
    check_case(golden, "avg." + c.name, {"x"},
               [&](const Inputs& in) { return nn::avg_pool2d(in[0], c.kernel_size, c.options); },
               {.f64 = 2e-15, .f32 = 1e-6});  // nine terms, each rounded
}

void check_grouped_conv2d(const std::string& name, const nn::Conv2dOptions& options) {
  static const GoldenFile golden("conv2d_groups");
  std::vector<std::string> inputs = {"x", "weight"};
  if (options.bias) inputs.push_back("bias");
  check_case(golden, name, inputs,
             [&](const Inputs& in) { return nn::conv2d(in[0], in[1], options.bias ? in[2] : Tensor(), options); });
}

TEST_CASE("golden: conv2d in groups equals PyTorch's") {
  check_grouped_conv2d("two_groups", {.padding = 1, .groups = 2});
  check_grouped_conv2d("three_groups_stride_2", {.stride = 2, .padding = 1, .groups = 3, .bias = false});
  check_grouped_conv2d("groups_of_kernel_1", {.groups = 2});
}

TEST_CASE("golden: depthwise conv2d equals PyTorch's, with one and with two outputs for each channel") {
  check_grouped_conv2d("depthwise", {.padding = 1, .groups = 3});
  check_grouped_conv2d("depthwise_stride_2", {.stride = 2, .padding = 1, .groups = 3});
  check_grouped_conv2d("depthwise_times_2", {.groups = 3});
}

void check_layer_norm(const std::string& name, double eps, const Tolerance& tolerance) {
  static const GoldenFile golden("layer_norm");
  const auto layer_norm = [eps](const Inputs& in) {
    nn::LayerNorm layer(in[1].numel(), eps);
    layer.weight = in[1];
    layer.bias = in[2];
    return layer(in[0]);
  };
  check_case(golden, name, {"x", "weight", "bias"}, layer_norm, tolerance);
}

TEST_CASE("golden: LayerNorm's outputs and gradients equal PyTorch's") {
  const Tolerance roundings{.f64 = 1e-13, .f32 = 4e-6};  // some tens
  check_layer_norm("features", 1e-5, roundings);
  check_layer_norm("images", 1e-5, roundings);
  check_layer_norm("large_eps", 0.5, roundings);
}

TEST_CASE("golden: LayerNorm equals PyTorch's where the mean is 1000, and of a row without variance") {
  // A mean of 1000 is rounded by up to 6e-14 or 3e-5, where the standard deviation is 1. In the last row all are equal
  // and the deviation is sqrt(eps): there the mean must be 1000 itself.
  check_layer_norm("mean_far_from_zero", 1e-5, {.f64 = 1e-12, .f32 = 2e-4});
}

TEST_CASE("golden: Residual equals x + body(x), and shortcut(x) + body(x)") {
  const GoldenFile golden("residual");
  const auto residual = [](const Inputs& in) {
    const auto convolution = [](const Tensor& weight) {
      nn::Conv2d layer(2, weight.size(0),
                       {.kernel_size = weight.size(1), .padding = weight.size(1) / 2, .bias = false});
      layer.weight = weight;
      return layer;
    };
    nn::Sequential body(convolution(in[1]), nn::ReLU()), shortcut;
    if (in.size() == 3) shortcut.add(convolution(in[2]));
    return nn::Residual(body, shortcut)(in[0]);
  };
  check_case(golden, "identity", {"x", "weight"}, residual);
  check_case(golden, "projection", {"x", "weight", "shortcut"}, residual);
}

// ---- Losses

const Tolerance loss_tolerance{.f64 = 1e-14, .f32 = 1e-6};  // a dozen roundings

void check_cross_entropy(const std::string& name, nn::CrossEntropyOptions options,
                         const std::vector<std::string>& cases) {
  static const GoldenFile golden("cross_entropy_options");
  for (const std::string& reduction : cases) {
    options.reduction = reduction.ends_with("none")  ? nn::Reduction::none
                        : reduction.ends_with("sum") ? nn::Reduction::sum
                                                     : nn::Reduction::mean;
    const nn::Loss loss = nn::cross_entropy_with(options);
    if (reduction.starts_with("dense"))
      check_case(
          golden, name + "." + reduction, {"logits", "target"}, [&](const Inputs& in) { return loss(in[0], in[1]); },
          loss_tolerance);
    else
      check_case(
          golden, name + "." + reduction, {"logits"}, [&](const Inputs& in) { return loss(in[0], golden["index"]); },
          loss_tolerance);
  }
}

Tensor class_weights() { return GoldenFile("cross_entropy_options").get("class_weights", DType::f32); }

TEST_CASE("golden: cross_entropy with label smoothing equals PyTorch's, of indices and dense targets") {
  check_cross_entropy("smoothing", {.label_smoothing = 0.125},
                      {"index.none", "index.mean", "index.sum", "dense.none", "dense.mean", "dense.sum"});
}

TEST_CASE("golden: cross_entropy with class weights equals PyTorch's, but for the mean over indices") {
  check_cross_entropy("weights", {.class_weights = class_weights()}, {"index.none", "dense.none"});
  check_cross_entropy("both", {.label_smoothing = 0.25, .class_weights = class_weights()},
                      {"index.none", "index.sum", "dense.none", "dense.mean", "dense.sum"});
}

TEST_CASE("golden: cross_entropy with both equals PyTorch's where logits are 1000 and -1000") {
  check_cross_entropy("extreme", {.label_smoothing = 0.25, .class_weights = class_weights()},
                      {"index.none", "dense.none"});
}

void check_elementwise_loss(const std::string& name, nn::Loss loss, const Tolerance& tolerance = loss_tolerance) {
  static const GoldenFile golden("elementwise_loss");
  for (const std::string inputs : {"plain", "extreme"})
    for (const std::string reduction : {"none", "mean"}) {
      loss.reduction = reduction == "none" ? nn::Reduction::none : nn::Reduction::mean;
      check_case(
          golden, name + "." + inputs + "." + reduction, {"x", "target"},
          [&](const Inputs& in) { return loss(in[0], in[1]); }, tolerance);
    }
}

TEST_CASE("golden: mse and l1 equal PyTorch's, per sample and as mean") {
  check_elementwise_loss("mse", nn::mse);
  check_elementwise_loss("l1", nn::l1);
}

TEST_CASE("golden: bce_with_logits equals PyTorch's, and to its own last digits where the logit is sure and right") {
  // Relative to each number's own size, were it 1e-9: a sum of terms that are not negative loses nothing.
  check_elementwise_loss("bce_with_logits", nn::bce_with_logits,
                         {.f64 = 1e-14, .f32 = 1e-6, .floor = 1e-30, .gradient_floor = 1});
}

// ---- Models: one step of AdamW. nn_cases.py has the same formulas.

void check_model(const std::string& name, std::int64_t size, nn::Sequential (*make)(), double f32_tolerance) {
  const GoldenFile golden(name);
  in_both(1e-11, f32_tolerance, [&](DType dtype, double tolerance) {  // the files have twelve digits
    nn::Sequential model = make();
    Start start(dtype);
    model.visit(start);
    train::Optimizer optimizer(nn::parameters(model),
                               train::adamw({.lr = 0x1p-8, .beta2 = 0.99, .weight_decay = 0.01}));
    const auto check_near = [&](const std::string& tensor, const Tensor& actual) {
      CAPTURE(tensor);
      CHECK(relative_error(actual, golden[tensor]) <= tolerance);
    };
    const Tensor x = noise({4, size, size, 3}, 100, dtype), labels = Tensor::from({3, 0, 9, 5}, {4});
    const Tensor logits = model(x), loss = nn::cross_entropy(logits, labels);
    loss.backward();
    optimizer.step();
    check_near("logits", logits);
    check_near("loss", loss);
    for (const auto& [key, tensor] : nn::named_parameters(model)) {
      check_near("gradient." + key, digest(tensor.grad()));
      check_near("step1." + key, digest(tensor));
    }
    for (const auto& [key, tensor] : nn::named_buffers(model)) check_near("step1." + key, tensor);
    model.eval();
    check_near("eval_logits", no_grad([&] { return model(x); }));
  });
}

TEST_CASE("golden: lenet's logits, gradients and a step of AdamW equal PyTorch's") {
  // f32: sums of up to 400 terms through five layers.
  check_model(
      "lenet", 28, [] { return nn::lenet(3, 10); }, 1e-5);
}

TEST_CASE("golden: resnet's logits, gradients, running statistics and a step of AdamW equal PyTorch's") {
  check_model(
      "resnet", 12,
      [] {
        return nn::resnet(3, 10, {.widths = {4, 8}});
      },
      1e-5);
}

}  // namespace
}  // namespace mixgrad
