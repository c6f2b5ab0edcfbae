#include "op_cases.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <tuple>

#include "augment/mixup_loss.h"
#include "core/index.h"
#include "core/layout.h"
#include "core/log_softmax.h"
#include "core/matmul.h"
#include "core/pointwise.h"
#include "core/random.h"
#include "core/reduce.h"
#include "core/view.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/cross_entropy.h"
#include "nn/dropout.h"
#include "nn/function.h"
#include "nn/layer_norm.h"
#include "nn/linear.h"
#include "nn/loss.h"
#include "nn/pool.h"

namespace mixgrad::test {
namespace {

using Table = std::vector<OpCase>;

// 0, 7, 3, 10, 6, ... modulo `bound`, where x is: indices that repeat and skip.
Tensor some_indices(const Tensor& x, std::int64_t n, std::int64_t bound) {
  std::vector<std::int32_t> indices(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < indices.size(); ++i)
    indices[i] = static_cast<std::int32_t>(7 * i % 11) % std::max(int(bound), 1);
  return Tensor::from(indices, {n}).to(x.device());
}

void pointwise_cases(Table& table) {
  struct Op {
    const char* name;
    Tensor (*f)(const Tensor&, const Tensor&);
  };
  struct Pattern {
    const char* name;
    Shape a, b, large_a, large_b;
  };
  const Pattern patterns[] = {
      {"same shape", {2, 3, 4}, {2, 3, 4}, {30, 40, 50}, {30, 40, 50}},
      {"two scalars", {}, {}, {1}, {1}},
      {"scalar on the right", {3, 4}, {}, {300, 400}, {}},
      {"scalar on the left", {}, {3, 4}, {}, {300, 400}},
      {"one element of two axes", {3}, {1, 1}, {70000}, {1, 1}},
      {"row", {3, 4}, {4}, {300, 401}, {401}},
      {"row on the left", {4}, {3, 4}, {401}, {300, 401}},
      {"column", {3, 4}, {3, 1}, {300, 401}, {300, 1}},
      {"column on the left", {3, 1}, {3, 4}, {300, 1}, {300, 401}},
      {"middle axis", {2, 3, 4}, {2, 1, 4}, {30, 50, 40}, {30, 1, 40}},
      {"outer axes", {2, 3, 4}, {1, 3, 1}, {30, 50, 40}, {1, 50, 1}},
      {"channels of images", {2, 3, 2, 4}, {4}, {32, 28, 28, 4}, {4}},
      {"both stretched", {3, 1}, {1, 4}, {300, 1}, {1, 401}},
      {"both stretched, other ranks", {4, 1, 3}, {2, 1}, {40, 1, 60}, {50, 1}},
      {"rank 5, one for each sample", {2, 3, 1, 2, 2}, {2, 1, 1, 1, 1}, {20, 30, 1, 10, 20}, {20, 1, 1, 1, 1}},
      {"rank 5, both stretched", {2, 1, 3, 1, 2}, {1, 2, 1, 3, 1}, {8, 1, 9, 1, 10}, {1, 11, 1, 12, 1}},
  };
  for (const Op& op : {Op{"add", add}, Op{"sub", sub}, Op{"mul", mul}, Op{"div", div}})
    for (const auto& [pattern, a, b, large_a, large_b] : patterns)
      table.push_back({.name = std::string(op.name) + ", " + pattern,
                       .inputs = {a, b},
                       .large = {large_a, large_b},
                       .f = [f = op.f](const Inputs& x) { return f(x[0], x[1]); },
                       .domain = Domain::away_from_zero});
  table.push_back(
      {.name = "mul, a tensor with itself", .inputs = {{3, 4}}, .large = {{300, 400}}, .f = [](const Inputs& x) {
         return x[0] * x[0];
       }});

  const auto unary = [&](const char* name, Tensor (*f)(const Tensor&), Domain domain) {
    table.push_back({.name = name,
                     .inputs = {{3, 4}},
                     .large = {{300, 400}},
                     .f = [f](const Inputs& x) { return f(x[0]); },
                     .domain = domain});
  };
  unary("neg", neg, Domain::normal);
  unary("abs", abs, Domain::away_from_zero);
  unary("sqrt", sqrt, Domain::positive);
  unary("exp", exp, Domain::normal);
  unary("log", log, Domain::positive);
  unary(
      "pow, square", [](const Tensor& x) { return pow(x, 2); }, Domain::normal);
  unary(
      "pow, cube", [](const Tensor& x) { return pow(x, 3); }, Domain::normal);
  unary(
      "pow, -1.5", [](const Tensor& x) { return pow(x, -1.5); }, Domain::positive);
  unary(
      "pow, 0", [](const Tensor& x) { return pow(x, 0) + x; }, Domain::normal);
  unary(
      "clamp", [](const Tensor& x) { return clamp(x, -0.4, 1.2345); }, Domain::away_from_zero);
  unary("relu", relu, Domain::away_from_zero);
  unary(
      "leaky_relu", [](const Tensor& x) { return leaky_relu(x, 0.2); }, Domain::away_from_zero);
  unary("tanh", tanh, Domain::normal);
  unary("sigmoid", sigmoid, Domain::normal);
  unary("softplus", softplus, Domain::normal);
  unary("silu", silu, Domain::normal);
  unary("gelu", gelu, Domain::normal);

  table.push_back({.name = "pow of two tensors",
                   .inputs = {{3, 4}, {4}},
                   .large = {{300, 401}, {401}},
                   .f = [](const Inputs& x) { return pow(x[0], x[1]); },
                   .domain = Domain::positive});
  table.push_back({.name = "weighted",
                   .inputs = {{3, 1}, {3, 4}},
                   .large = {{300, 1}, {300, 401}},
                   .f = [](const Inputs& x) { return weighted(x[0], x[1]); },
                   .domain = Domain::away_from_zero});
  // Where an element is positive, its sign chooses; no element is near the edge of the choice.
  const auto choose = [](const Inputs& x) { return where(x[0].detach() > 0.0, x[0] * x[0], x[1]); };
  table.push_back({.name = "where",
                   .inputs = {{3, 4}, {3, 4}},
                   .large = {{300, 401}, {300, 401}},
                   .f = choose,
                   .domain = Domain::away_from_zero});
  table.push_back({.name = "where, row",
                   .inputs = {{3, 4}, {4}},
                   .large = {{300, 401}, {401}},
                   .f = choose,
                   .domain = Domain::away_from_zero});
  table.push_back({.name = "where, all stretched",
                   .inputs = {{3, 1}, {1, 4}},
                   .f = [](const Inputs& x) { return where(x[1].detach() > 0.0, x[0], x[1]); },
                   .domain = Domain::away_from_zero});
}

void matmul_cases(Table& table) {
  for (const bool ta : {false, true})
    for (const bool tb : {false, true})
      for (const auto& [m, n, large_m, large_n] : {std::tuple{4, 2, 200, 90}, std::tuple{2, 5, 90, 200}}) {
        const auto a = [ta = ta](int rows, int k) { return ta ? Shape{k, rows} : Shape{rows, k}; };
        const auto b = [tb = tb](int k, int columns) { return tb ? Shape{columns, k} : Shape{k, columns}; };
        table.push_back({.name = std::string("matmul, ") + (m > n ? "tall" : "wide") + (ta ? ", a transposed" : "") +
                                 (tb ? ", b transposed" : ""),
                         .inputs = {a(m, 3), b(3, n)},
                         .large = {a(large_m, 70), b(70, large_n)},
                         .f = [ta = ta, tb = tb](const Inputs& x) {
                           return matmul(x[0], x[1], {.transpose_a = ta, .transpose_b = tb});
                         }});
      }
}

void reduce_cases(Table& table) {
  using AlongAxis = Tensor (*)(const Tensor&, const Axes&, ReduceOptions);
  using Whole = Tensor (*)(const Tensor&);
  const auto reduction = [&](const std::string& name, AlongAxis along_axis, Whole whole, Domain domain) {
    for (const int axis : {0, 1, 2})
      for (const bool keepdim : {false, true})
        table.push_back({.name = name + ", axis " + std::to_string(axis) + (keepdim ? ", kept" : ""),
                         .inputs = {{3, 4, 5}},
                         .large = {{4, 1000, 40}},
                         .f = [=](const Inputs& x) { return along_axis(x[0], axis, {.keepdim = keepdim}); },
                         .domain = domain});
    for (const auto& [axes_name, axes] :
         {std::pair{"the first two", Axes{0, 1}}, std::pair{"the outer two", Axes{0, -1}},
          std::pair{"all axes", Axes{2, 0, 1}}})
      for (const bool keepdim : {false, true})
        table.push_back(
            {.name = name + " over " + axes_name + (keepdim ? ", kept" : ""),
             .inputs = {{3, 4, 5}},
             .large = {{4, 1000, 40}},
             .f = [=, axes = axes](const Inputs& x) { return along_axis(x[0], axes, {.keepdim = keepdim}); },
             .domain = domain});
    table.push_back({.name = name + " of a vector",
                     .inputs = {{6}},
                     .large = {{100000}},
                     .f = [=](const Inputs& x) { return along_axis(x[0], -1, {}); },
                     .domain = domain});
    table.push_back({.name = name + " of everything",
                     .inputs = {{3, 4, 5}},
                     .large = {{4, 1000, 40}},
                     .f = [=](const Inputs& x) { return whole(x[0]); },
                     .domain = domain});
  };
  reduction("sum", sum, sum, Domain::normal);
  reduction("mean", mean, mean, Domain::normal);
  reduction("max", max, max, Domain::distinct);
  reduction("min", min, min, Domain::distinct);

  const auto softmax = [](const Inputs& x) { return log_softmax(x[0]); };
  table.push_back({.name = "log_softmax", .inputs = {{3, 5}}, .large = {{3000, 10}}, .f = softmax});
  table.push_back({.name = "log_softmax of a vector", .inputs = {{5}}, .f = softmax});
  table.push_back({.name = "log_softmax, three axes", .inputs = {{2, 3, 4}}, .large = {{20, 30, 40}}, .f = softmax});
  table.push_back({.name = "log_softmax of one class", .inputs = {{3, 1}}, .f = softmax});
  table.push_back({.name = "softmax", .inputs = {{3, 5}}, .large = {{3000, 10}}, .f = [](const Inputs& x) {
                     return mixgrad::softmax(x[0]);
                   }});
}

void view_cases(Table& table) {
  table.push_back({.name = "reshape", .inputs = {{3, 4}}, .f = [](const Inputs& x) { return reshape(x[0], {2, -1}); }});
  table.push_back({.name = "reshape, one after the other", .inputs = {{2, 3, 4}}, .f = [](const Inputs& x) {
                     return exp(reshape(reshape(x[0], {6, 4}), {3, -1, 2}));
                   }});
  table.push_back({.name = "flatten", .inputs = {{2, 3, 2}}, .f = [](const Inputs& x) { return flatten(x[0]); }});
  table.push_back({.name = "slice", .inputs = {{5, 3}}, .f = [](const Inputs& x) { return slice(x[0], 1, 4); }});
  table.push_back({.name = "slice of nothing", .inputs = {{5, 3}}, .f = [](const Inputs& x) {
                     return sum(slice(x[0], 2, 2)) + sum(x[0]);
                   }});
  table.push_back({.name = "slices that overlap", .inputs = {{5, 2, 2}}, .f = [](const Inputs& x) {
                     return slice(x[0], 0, 3) * slice(x[0], 2, 5);
                   }});
  for (const auto& [a, b] : {std::pair{0, 1}, std::pair{0, 2}, std::pair{1, 3}, std::pair{-1, -2}, std::pair{2, 2}})
    table.push_back({.name = "transpose " + std::to_string(a) + " and " + std::to_string(b),
                     .inputs = {{2, 3, 4, 5}},
                     .large = {{20, 30, 40, 5}},
                     .f = [a = a, b = b](const Inputs& x) { return transpose(x[0], a, b); }});
  for (const int axis : {0, 1, -1}) {
    const Shape other = Shape{2, 3, 4}.with(axis, 5), large = Shape{20, 30, 200}.with(axis, 50);
    table.push_back({.name = "concat along " + std::to_string(axis),
                     .inputs = {{2, 3, 4}, other, {2, 3, 4}},
                     .large = {{20, 30, 200}, large, {20, 30, 200}},
                     .f = [axis](const Inputs& x) { return concat(x, axis); }});
  }
  const auto repeated_rows = [](const Inputs& x) { return gather(x[0], some_indices(x[0], 7, x[0].size(0))); };
  table.push_back({.name = "gather, rows that repeat", .inputs = {{5, 3}}, .f = repeated_rows});
  table.push_back({.name = "gather from a vector", .inputs = {{4}}, .f = repeated_rows});
  table.push_back(
      {.name = "gather, four axes", .inputs = {{3, 2, 2, 2}}, .large = {{64, 28, 28, 3}}, .f = [](const Inputs& x) {
         return gather(x[0], some_indices(x[0], 2 * x[0].size(0), x[0].size(0)));
       }});
  // The way through f32 rounds to 6e-8, which a step of 1e-5 would magnify to 1e-2. The function is linear, so a large
  // step costs nothing.
  table.push_back({.name = "to f32 and back",
                   .inputs = {{3, 4}},
                   .f = [](const Inputs& x) { return x[0].to(DType::f32).to(DType::f64); },
                   .needs_f64 = true,
                   .gradcheck = {.step = 0.25, .tolerance = 1e-5}});
}

void convolution_cases(Table& table) {
  struct Case {
    const char* name;
    Shape image, weight;
    int stride, padding;
    bool bias = true;
    std::vector<Shape> large = {};
  };
  const Case cases[] = {
      {"kernel 3", {2, 5, 5, 2}, {3, 3, 3, 2}, 1, 0, true, {{40, 14, 14, 8}, {16, 3, 3, 8}, {16}}},
      {"as in simple_cnn", {2, 6, 6, 3}, {2, 3, 3, 3}, 2, 1, true, {{64, 28, 28, 3}, {16, 3, 3, 3}, {16}}},
      {"stride 2, odd image", {1, 7, 5, 1}, {2, 3, 3, 1}, 2, 1, true, {{64, 14, 14, 16}, {1, 3, 3, 16}, {1}}},
      {"stride 3, pixels left over", {2, 6, 7, 1}, {2, 3, 3, 1}, 3, 0},
      {"kernel 1", {2, 3, 4, 3}, {2, 1, 1, 3}, 1, 0},
      {"kernel 1, stride 2", {1, 4, 5, 2}, {3, 1, 1, 2}, 2, 0},
      {"kernel 5, padding 2", {1, 4, 5, 2}, {2, 5, 5, 2}, 1, 2, true, {{70, 12, 10, 3}, {8, 5, 5, 3}, {8}}},
      {"kernel 5, stride 3, padding 1", {2, 8, 6, 1}, {1, 5, 5, 1}, 3, 1},
      {"a kernel row, many small images", {1, 1, 5, 5}, {3, 1, 1, 5}, 1, 0, false, {{20000, 1, 5, 5}, {3, 1, 1, 5}}},
      {"kernel as large as the image", {2, 3, 4, 2}, {2, 3, 4, 2}, 1, 0},
      {"kernel larger than the image", {1, 2, 2, 1}, {1, 5, 5, 1}, 1, 2},
      {"kernel not square", {2, 4, 5, 2}, {2, 1, 3, 2}, 1, 1, true, {{9, 34, 34, 16}, {16, 3, 3, 16}, {16}}},
      {"a window that is all padding", {1, 2, 2, 1}, {1, 1, 1, 1}, 1, 2},
      {"one channel, one pixel", {1, 1, 1, 1}, {1, 1, 1, 1}, 1, 0, true, {{70, 4, 4, 32}, {40, 3, 3, 32}, {40}}},
      {"no bias", {2, 4, 4, 2}, {3, 3, 3, 2}, 1, 1, false, {{64, 14, 14, 16}, {16, 3, 3, 16}}},
  };
  for (const auto& [name, image, weight, stride, padding, bias, large] : cases) {
    std::vector<Shape> inputs{image, weight};
    if (bias) inputs.push_back({weight[0]});
    table.push_back({.name = std::string("conv2d, ") + name,
                     .inputs = inputs,
                     .large = large,
                     .f = [stride = stride, padding = padding](const Inputs& x) {
                       return nn::conv2d(x[0], x[1], x.size() > 2 ? x[2] : Tensor(),
                                         {.stride = stride, .padding = padding});
                     }});
  }
  for (const auto& [name, image, weight, groups, large] :
       {std::tuple{"two groups", Shape{2, 4, 5, 4}, Shape{6, 3, 3, 2}, 2,
                   std::vector<Shape>{{40, 14, 14, 8}, {6, 3, 3, 4}, {6}}},
        std::tuple{"depthwise", Shape{2, 5, 4, 3}, Shape{3, 3, 3, 1}, 3,
                   std::vector<Shape>{{60, 14, 14, 3}, {3, 3, 3, 1}, {3}}},
        std::tuple{"depthwise, two for each channel", Shape{1, 4, 4, 2}, Shape{4, 2, 3, 1}, 2, std::vector<Shape>{}}})
    table.push_back({.name = std::string("conv2d, ") + name,
                     .inputs = {image, weight, {weight[0]}},
                     .large = large,
                     .f = [groups = groups](const Inputs& x) {
                       return nn::conv2d(x[0], x[1], x[2], {.stride = 2, .padding = 1, .groups = groups});
                     }});
}

void pooling_cases(Table& table) {
  struct Case {
    const char* name;
    Shape image;
    int kernel_size;
    nn::Pool2dOptions options;
    Shape large;
  };
  for (const auto& [name, image, kernel_size, options, large] :
       {Case{"2", {2, 4, 6, 3}, 2, {}, {32, 14, 14, 16}}, Case{"2, pixels left over", {1, 5, 3, 2}, 2, {}, {}},
        Case{"3, overlapping, padded", {2, 5, 4, 2}, 3, {.stride = 2, .padding = 1}, {64, 15, 15, 8}},
        Case{"the whole image", {2, 3, 3, 2}, 3, {}, {}}, Case{"1, stride 2", {1, 3, 4, 1}, 1, {.stride = 2}, {}}}) {
    const std::vector<Shape> many = large.rank() ? std::vector<Shape>{large} : std::vector<Shape>{};
    table.push_back({.name = std::string("max_pool2d, ") + name,
                     .inputs = {image},
                     .large = many,
                     .f = [=, k = kernel_size, o = options](const Inputs& x) { return nn::max_pool2d(x[0], k, o); },
                     .domain = Domain::distinct});
    table.push_back({.name = std::string("avg_pool2d, ") + name,
                     .inputs = {image},
                     .large = many,
                     .f = [=, k = kernel_size, o = options](const Inputs& x) { return nn::avg_pool2d(x[0], k, o); }});
  }
}

Tensor linear(const Inputs& x) {
  nn::Linear layer(x[1].size(1), x[1].size(0), {.bias = x.size() > 2});
  layer.weight = x[1];
  if (x.size() > 2) layer.bias = x[2];
  return layer(x[0]);
}

Tensor batch_norm(const Inputs& x, bool training, const functions::Activation& activation = {}) {
  const std::int64_t channels = x[1].numel();
  nn::BatchNorm layer(channels);
  layer.weight = x[1];
  layer.bias = x[2];
  layer.running_mean = Tensor::full({channels}, 0.25, x[0].options());
  layer.running_var = Tensor::full({channels}, 1.75, x[0].options());
  layer.train(training);
  return layer.forward_activated(x[0], activation);
}

void layer_cases(Table& table) {
  table.push_back(
      {.name = "Linear", .inputs = {{4, 3}, {2, 3}, {2}}, .large = {{256, 90}, {80, 90}, {80}}, .f = linear});
  table.push_back({.name = "Linear, no bias", .inputs = {{4, 3}, {2, 3}}, .f = linear});
  const auto train = [](const Inputs& x) { return batch_norm(x, true); };
  const auto eval = [](const Inputs& x) { return batch_norm(x, false); };
  const std::vector<Shape> rows{{5, 3}, {3}, {3}}, images{{2, 3, 2, 2}, {2}, {2}};
  const std::vector<Shape> many_rows{{5000, 12}, {12}, {12}}, many_images{{32, 14, 14, 8}, {8}, {8}};
  table.push_back({.name = "BatchNorm, training, rows", .inputs = rows, .large = many_rows, .f = train});
  table.push_back({.name = "BatchNorm, training, images", .inputs = images, .large = many_images, .f = train});
  table.push_back({.name = "BatchNorm, evaluation, rows", .inputs = rows, .large = many_rows, .f = eval});
  table.push_back({.name = "BatchNorm, evaluation, images", .inputs = images, .large = many_images, .f = eval});
  const std::pair<std::string, functions::Activation> activations[] = {
      {"ReLU", functions::Relu{}}, {"SiLU", functions::Silu{}}, {"GELU", functions::Gelu{}}};
  for (const auto& [name, activation] : activations)
    for (const bool training : {true, false}) {  // no output of these inputs is near the kink
      const auto both = [=, f = activation](const Inputs& x) { return batch_norm(x, training, f); };
      const std::string mode = "BatchNorm and " + name + (training ? ", training" : ", evaluation");
      table.push_back({.name = mode + ", rows", .inputs = rows, .large = many_rows, .f = both});
      table.push_back({.name = mode + ", images", .inputs = {{2, 3, 2, 4}, {4}, {4}}, .large = many_images, .f = both});
    }
  table.push_back(
      {.name = "GlobalAvgPool", .inputs = {{2, 3, 2, 4}}, .large = {{64, 28, 28, 3}}, .f = [](const Inputs& x) {
         return nn::GlobalAvgPool()(x[0]);
       }});
  table.push_back({.name = "LayerNorm",
                   .inputs = {{2, 3, 4}, {4}, {4}},
                   .large = {{300, 40, 16}, {16}, {16}},
                   .f = [](const Inputs& x) {
                     nn::LayerNorm layer(x[1].numel());
                     layer.weight = x[1];
                     layer.bias = x[2];
                     return layer(x[0]);
                   }});
  table.push_back({.name = "Dropout", .inputs = {{5, 7}}, .large = {{300, 301}}, .f = [](const Inputs& x) {
                     const Temporarily<RandomState> seed(random_state(), {.seed = 3});  // the same elements every time
                     return nn::Dropout(0.4)(x[0]);
                   }});
  table.push_back({.name = "Flatten", .inputs = {{2, 3, 2}}, .f = [](const Inputs& x) { return nn::Flatten()(x[0]); }});
  table.push_back({.name = "ReLU",
                   .inputs = {{2, 2, 3, 2}},
                   .f = [](const Inputs& x) { return nn::ReLU()(x[0]); },
                   .domain = Domain::away_from_zero});
}

void loss_cases(Table& table) {
  using namespace augment;
  const auto classes = [](const Tensor& logits) { return some_indices(logits, logits.size(0), logits.size(1)); };
  for (const auto& [name, reduction] : {std::pair{"mean", nn::Reduction::mean}, std::pair{"sum", nn::Reduction::sum},
                                        std::pair{"for each sample", nn::Reduction::none}}) {
    const nn::Loss loss = nn::cross_entropy_with({.reduction = reduction});
    table.push_back({.name = std::string("cross_entropy, class indices, ") + name,
                     .inputs = {{5, 3}},
                     .large = {{3000, 10}},
                     .f = [=](const Inputs& x) { return loss(x[0], classes(x[0])); }});
    table.push_back({.name = std::string("cross_entropy, dense target, ") + name,
                     .inputs = {{5, 3}, {5, 3}},
                     .large = {{3000, 10}, {3000, 10}},
                     .f = [=](const Inputs& x) { return loss(x[0], x[1]); }});
  }

  for (const bool dense : {false, true})
    table.push_back({.name = std::string("cross_entropy, smoothed and weighted, ") + (dense ? "dense" : "indices"),
                     .inputs = {{5, 3}},
                     .f = [=](const Inputs& x) {
                       const Tensor weights = Tensor::from({0.5f, 1.f, 3.f}, {3});
                       const nn::Loss loss = nn::cross_entropy_with({.label_smoothing = 0.2, .class_weights = weights});
                       return loss(x[0], dense ? one_hot(classes(x[0]), 3, x[0].dtype()) : classes(x[0]));
                     }});
  table.push_back({.name = "cross_entropy, smoothed, a class ignored", .inputs = {{7, 3}}, .f = [=](const Inputs& x) {
                     const nn::Loss loss = nn::cross_entropy_with({.label_smoothing = 0.2, .ignore_index = 1});
                     return loss(x[0], classes(x[0]));
                   }});
  table.push_back(
      {.name = "cross_entropy, labels outside of the classes ignored", .inputs = {{4, 3}}, .f = [=](const Inputs& x) {
         constexpr std::int32_t own[] = {0, -100, 2, -100}, others[] = {1, 2, -100, -100};
         std::vector<std::int32_t> labels, partners;
         std::vector<double> shares;
         for (std::int64_t n = 0; n < x[0].size(0); ++n) {
           labels.push_back(own[n % 4]);
           partners.push_back(others[n % 4]);
           shares.push_back(0.25 * static_cast<double>(1 + n % 4));
         }
         const Shape rows{x[0].size(0)};
         const Device device = x[0].device();
         const Tensor y = Tensor::from(labels, rows).to(device), partner = Tensor::from(partners, rows).to(device);
         const Tensor lambda = Tensor::from(shares, rows).to(x[0].dtype()).to(device);
         return nn::cross_entropy_mixed(x[0], y, partner, lambda, {.label_smoothing = 0.2, .ignore_index = -100});
       }});
  table.push_back({.name = "bce_with_logits", .inputs = {{5, 3}, {5, 3}}, .f = [](const Inputs& x) {
                     return nn::bce_with_logits(x[0], x[1]);
                   }});
  table.push_back(
      {.name = "mse", .inputs = {{5, 3}, {5, 3}}, .f = [](const Inputs& x) { return nn::mse(x[0], x[1]); }});
  table.push_back({.name = "l1",
                   .inputs = {{5, 3}, {5, 3}},
                   .f = [](const Inputs& x) { return nn::l1(x[0], x[1]); },
                   .domain = Domain::distinct});

  // Row i is mixed with its mirror image; in the middle of an odd batch, with itself.
  const auto plan_for = [](const Tensor& x) {
    const auto n = static_cast<std::size_t>(x.size(0));
    std::vector<float> lambda(n);
    std::vector<std::int32_t> partner(n);
    for (std::size_t i = 0; i < n; ++i) lambda[i] = 0.5f + 0.5f * static_cast<float>(i) / static_cast<float>(n);
    std::iota(partner.rbegin(), partner.rend(), 0);
    return MixPlan{lambda, partner};
  };
  for (const Shape& shape : {Shape{3}, Shape{4, 3}, Shape{3, 2, 2}, Shape{3, 2, 2, 2}, Shape{2, 2, 1, 2, 3}}) {
    const std::string rank = ", rank " + std::to_string(shape.rank());
    const Shape large = shape.with(0, 50000 / shape.product(1, shape.rank()));
    table.push_back({.name = "mix" + rank, .inputs = {shape}, .large = {large}, .f = [=](const Inputs& x) {
                       return mix(x[0], plan_for(x[0]));
                     }});
    table.push_back({.name = "mix with a second batch" + rank,
                     .inputs = {shape, shape},
                     .large = {large, large},
                     .f = [=](const Inputs& x) { return mix(x[0], x[1], plan_for(x[0])); }});
  }
  for (const auto& [name, weight] :
       {std::pair{"each lambda", LossWeight::lambda}, std::pair{"the batch's mean lambda", LossWeight::batch_mean}}) {
    const MixUpLoss loss(nn::cross_entropy, weight);
    table.push_back({.name = std::string("MixUpLoss, class indices, ") + name,
                     .inputs = {{5, 3}},
                     .large = {{3000, 10}},
                     .f = [=](const Inputs& x) { return loss(x[0], mixed_target(classes(x[0]), plan_for(x[0]))); }});
    const Tensor weights = Tensor::from({0.5f, 0.f, 3.f}, {3});
    const MixUpLoss with_options(nn::cross_entropy_with({.label_smoothing = 0.2, .class_weights = weights}), weight);
    table.push_back(
        {.name = std::string("MixUpLoss, class indices, smoothed and weighted, ") + name,
         .inputs = {{5, 3}},
         .f = [=](const Inputs& x) { return with_options(x[0], mixed_target(classes(x[0]), plan_for(x[0]))); }});
    const MixUpLoss ignoring(nn::cross_entropy_with({.label_smoothing = 0.2, .ignore_index = 1}), weight);
    table.push_back(
        {.name = std::string("MixUpLoss, class indices, smoothed, a class ignored, ") + name,
         .inputs = {{7, 3}},
         .f = [=](const Inputs& x) { return ignoring(x[0], mixed_target(classes(x[0]), plan_for(x[0]))); }});
    table.push_back({.name = std::string("MixUpLoss, more classes than a warp, ") + name,
                     .inputs = {{3, 70}},
                     .f = [=](const Inputs& x) { return loss(x[0], mixed_target(classes(x[0]), plan_for(x[0]))); }});
    table.push_back({.name = std::string("MixUpLoss, dense target, ") + name,
                     .inputs = {{5, 3}, {5, 3}},
                     .f = [=](const Inputs& x) { return loss(x[0], mixed_target(x[1], plan_for(x[0]))); }});
  }
}

}  // namespace

const std::vector<OpCase>& op_cases() {
  static const Table table = [] {
    Table all;
    for (const auto add_cases : {pointwise_cases, matmul_cases, reduce_cases, view_cases, convolution_cases,
                                 pooling_cases, layer_cases, loss_cases})
      add_cases(all);
    return all;
  }();
  return table;
}

Inputs make_inputs(const std::vector<Shape>& shapes, Domain domain, DType dtype, std::uint64_t seed) {
  Random random(seed);
  Inputs inputs;
  for (const Shape& shape : shapes) {
    std::vector<float> values(static_cast<std::size_t>(shape.numel()));
    const auto places = random.permutation(domain == Domain::distinct ? shape.numel() : 0);
    for (std::size_t i = 0; i < values.size(); ++i) {
      const double normal = random.normal();
      const double away = std::copysign(0.5 + std::abs(normal), normal);
      double value = 0;
      switch (domain) {
        case Domain::normal: value = normal; break;
        case Domain::away_from_zero: value = away; break;
        case Domain::positive: value = std::abs(away); break;
        case Domain::distinct: value = 4 * places[i] / static_cast<double>(values.size()) - 2; break;
      }
      values[i] = static_cast<float>(value);
    }
    inputs.push_back(Tensor::from(values, shape).to(dtype));
  }
  return inputs;
}

Evaluation evaluate(const OpCase& op, const Inputs& inputs) {
  Inputs leaves;
  for (const Tensor& input : inputs) leaves.push_back(input.clone().requires_grad_());
  Evaluation result;
  result.output = op.f(leaves).to(cpu).to(DType::f64);
  const Tensor projection = make_inputs({result.output.shape()}, Domain::normal, DType::f64, 2)[0];
  sum(result.output * projection).backward();
  for (const Tensor& leaf : leaves) result.gradients.push_back(leaf.grad().to(cpu).to(DType::f64));
  result.output = result.output.detach();
  return result;
}

std::vector<OpCase> empty_cases(const OpCase& op) {
  std::set<std::int64_t> extents;
  for (const Shape& shape : op.inputs) extents.insert(shape.begin(), shape.end());
  std::vector<OpCase> cases;
  for (const std::int64_t extent : extents) {
    OpCase& empty = cases.emplace_back(op);
    empty.name += text_of(", without the ", extent);
    for (Shape& shape : empty.inputs)
      for (int axis = 0; axis < shape.rank(); ++axis)
        if (shape[axis] == extent) shape = shape.with(axis, 0);
  }
  return cases;
}

}  // namespace mixgrad::test
