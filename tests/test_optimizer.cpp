// Optimizers: where parameters and gradients lie, and what is refused.
#include <doctest/doctest.h>

#include "mixgrad.h"
#include "tests/small_network.h"

using namespace mixgrad;
using namespace mixgrad::train;

TEST_CASE("optimizer: parameters and gradients lie in one block, aligned, and survive a second optimizer") {
  nn::Linear layer(3, 2);
  const auto before = layer.weight.to_vector<float>();
  Optimizer first(nn::parameters(layer), adamw());
  CHECK(layer.weight.to_vector<float>() == before);
  CHECK(layer.weight.storage() == layer.bias.storage());
  CHECK(reinterpret_cast<std::uintptr_t>(layer.bias.data<float>()) % 64 == 0);
  Optimizer second(nn::parameters(layer), adamw());
  CHECK(layer.weight.to_vector<float>() == before);
  second.step();
  CHECK_THROWS_WITH_AS(first.step(), doctest::Contains("another optimizer"), Error);
}

TEST_CASE("optimizer: refuses what it cannot train") {
  CHECK_THROWS_AS(Optimizer(std::vector<Tensor>{}, adamw()), Error);
  CHECK_THROWS_AS(Optimizer(std::vector{Tensor::zeros({2})}, adamw()), Error);
  const Tensor leaf = nn::parameter(Tensor::zeros({2}));
  CHECK_THROWS_WITH_AS(Optimizer(std::vector{leaf * leaf}, adamw()), doctest::Contains("it is computed"), Error);
  CHECK_THROWS_WITH_AS(Optimizer(std::vector{leaf, leaf}, adamw()), doctest::Contains("listed twice"), Error);
  CHECK_THROWS_AS(sgd({.nesterov = true}), Error);
}

TEST_CASE("optimizer: a step and zero_grad are writes in place, of parameters, gradients and state") {
  for (const Rule& rule : {sgd({.momentum = 0.9}), adamw(), adam()}) {
    nn::Linear layer(2, 2);
    Optimizer optimizer(nn::parameters(layer), rule);
    const Tensor loss = sum(layer.weight * layer.weight);
    std::vector<Tensor> written{layer.weight};
    for (const auto& [name, tensor] : optimizer.state()) written.push_back(tensor);
    std::vector<std::uint64_t> before;
    for (const Tensor& tensor : written) before.push_back(tensor.storage()->version());
    optimizer.step();
    for (std::size_t i = 0; i < written.size(); ++i) CHECK(written[i].storage()->version() > before[i]);
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("modified in place"), Error);
    const std::uint64_t gradients = optimizer.gradients().storage()->version();
    optimizer.zero_grad();
    CHECK(optimizer.gradients().storage()->version() > gradients);
  }
}

TEST_CASE("parameter groups: each has its own rate and decay") {
  const auto stepped = [](const ParameterGroup& other) {
    const Tensor a = nn::parameter(Tensor::ones({3})), b = nn::parameter(Tensor::ones({20}));
    ParameterGroup group = other;
    group.parameters = {b};
    Optimizer optimizer(std::vector<ParameterGroup>{{.parameters = {a}}, group}, sgd({.lr = 0.1, .weight_decay = 0.5}));
    optimizer.gradients().fill_(1);
    optimizer.step();
    CHECK(a.detach().to_vector<float>()[2] == doctest::Approx(1 - 0.1 * 1.5));
    return b.detach().to_vector<float>()[19];
  };
  CHECK(stepped({}) == doctest::Approx(1 - 0.1 * 1.5));
  CHECK(stepped({.parameters = {}, .lr_scale = 0.5}) == doctest::Approx(1 - 0.05 * 1.5));
  CHECK(stepped({.parameters = {}, .weight_decay = 0.0}) == doctest::Approx(1 - 0.1));
  nn::Sequential model = test::small_network();
  const ParameterGroups groups = no_decay_of_vectors(model);
  REQUIRE(groups.size() == 2);
  CHECK(groups[0].parameters.size() == 2);  // the convolutions' weights
  CHECK(groups[1].parameters.size() == 4);
  CHECK(groups[1].weight_decay == 0.0);
}

namespace {

Tensor matrix(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> values;
  for (std::int64_t i = 0; i < rows * columns; ++i) values.push_back(random.uniform(-1, 1));
  return Tensor::from(values, {rows, columns});
}

// What some steps make of a parameter, with gradients of some seed.
std::vector<double> stepped(const Rule& rule, const Tensor& start, std::uint64_t seed, int steps = 3) {
  const Tensor parameter = nn::parameter(start.clone());
  Optimizer optimizer(std::vector{parameter}, rule);
  for (int step = 0; step < steps; ++step) {
    parameter.grad().copy_(matrix(start.size(0), start.size(1), seed + static_cast<std::uint64_t>(step)));
    optimizer.step();
  }
  return parameter.detach().to_vector<double>();
}

}  // namespace

TEST_CASE("parameter groups: each with a rule of its own takes the steps of that rule alone") {
  const std::vector<Rule> rules{sgd({.lr = 0.1, .momentum = 0.9}), adamw(), muon(), sgd({.lr = 0.2}), adam()};
  std::vector<ParameterGroup> groups;
  std::vector<Tensor> parameters;
  for (std::size_t i = 0; i < rules.size(); ++i) {
    parameters.push_back(nn::parameter(matrix(3, 5, i)));
    groups.push_back({.parameters = {parameters[i]}, .rule = i == 0 ? nullptr : rules[i]});
  }
  Optimizer optimizer(groups, rules[0]);
  REQUIRE(optimizer.rates.size() == rules.size());
  for (int step = 0; step < 3; ++step) {
    for (std::size_t i = 0; i < rules.size(); ++i)
      parameters[i].grad().copy_(matrix(3, 5, 10 * i + static_cast<std::uint64_t>(step)));
    optimizer.step();
  }
  for (std::size_t i = 0; i < rules.size(); ++i) {
    CAPTURE(i);
    CHECK(optimizer.rates[i] == rules[i]->rates);
    CHECK(parameters[i].detach().to_vector<double>() == stepped(rules[i], matrix(3, 5, i), 10 * i));
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : optimizer.state()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"velocity", "mean", "square"});
  CHECK(optimizer.description().find("muon: lr 0.02") != std::string::npos);
}

TEST_CASE("muon: a step moves every direction about equally far, whatever the gradient's size") {
  const Tensor start = Tensor::zeros({4, 9}, {.dtype = DType::f64});
  for (const double scale : {1.0, 1e-3}) {
    const Tensor parameter = nn::parameter(start.clone());
    Optimizer optimizer(std::vector{parameter}, muon({.lr = 1, .momentum = 0}));
    parameter.grad().copy_(matrix(4, 9, 5) * scale);
    optimizer.step();
    const Tensor x = parameter.detach();
    const auto gram = matmul(x, x, {.transpose_b = true}).to_vector<double>();  // of the singular values' squares
    for (std::size_t i = 0; i < 4; ++i)
      for (std::size_t j = 0; j < 4; ++j) CHECK(gram[4 * i + j] == doctest::Approx(i == j ? 1 : 0).epsilon(0.6));
  }
}

TEST_CASE("muon: a tall matrix takes the steps of the same one lying down") {
  const auto steps = [](bool tall) {
    const auto stand = [=](const Tensor& x) { return tall ? transpose(x, 0, 1) : x; };
    const Tensor parameter = nn::parameter(stand(matrix(3, 8, 1)).clone());
    Optimizer optimizer(std::vector{parameter}, muon({.lr = 0.1, .weight_decay = 0.5}));
    for (std::uint64_t step = 0; step < 3; ++step) {
      parameter.grad().copy_(stand(matrix(3, 8, 7 + step)));
      optimizer.step();
    }
    return stand(parameter.detach()).to_vector<double>();
  };
  const auto tall = steps(true), wide = steps(false);
  for (std::size_t i = 0; i < wide.size(); ++i) CHECK(tall[i] == doctest::Approx(wide[i]).epsilon(1e-12));
}

TEST_CASE("muon: weights that are normalised have the norm sqrt(rows) before the step, where that is due") {
  for (const std::int64_t due : {1, 2, 3}) {
    const Tensor parameter = nn::parameter(matrix(4, 6, 2) * 100.0);
    Optimizer optimizer(std::vector{parameter},
                        muon({.lr = 0, .normalises = [=](std::int64_t step) { return step == due; }}));
    for (int step = 1; step <= 3; ++step) {
      parameter.grad().fill_(1);
      optimizer.step();
      const double norm = std::sqrt(sum(parameter.detach() * parameter.detach()).item());
      CHECK((std::abs(norm - 2) < 1e-12) == (step >= due));
    }
  }
  const Tensor zero = nn::parameter(Tensor::zeros({2, 2}));  // stays finite
  Optimizer optimizer(std::vector{zero}, muon({.normalises = [](std::int64_t) { return true; }}));
  optimizer.step();
  CHECK(zero.detach().to_vector<float>() == std::vector<float>(4, 0.0f));
}

TEST_CASE("muon: refuses vectors, and options below 0") {
  CHECK_THROWS_WITH_AS(Optimizer(std::vector{nn::parameter(Tensor::zeros({5}))}, muon()),
                       doctest::Contains("is not for a parameter of shape [5], which has fewer than two axes"), Error);
  CHECK_THROWS_AS(muon({.momentum = -1}), Error);
  CHECK_THROWS_AS(muon({.weight_decay = -1}), Error);
  CHECK_THROWS_AS(muon({.iterations = -1}), Error);
}
