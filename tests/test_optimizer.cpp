// Optimizers: where parameters and gradients lie, and what is refused.
#include <doctest/doctest.h>

#include "mixgrad.h"
#include "tests/small_network.h"

using namespace mixgrad;
using namespace mixgrad::train;

TEST_CASE("optimizer: parameters and gradients lie in one block, aligned, and survive a second optimizer") {
  nn::Linear layer(3, 2);
  const auto before = layer.weight.to_vector<float>();
  Adam first(nn::parameters(layer));
  CHECK(layer.weight.to_vector<float>() == before);
  CHECK(layer.weight.storage() == layer.bias.storage());
  CHECK(reinterpret_cast<std::uintptr_t>(layer.bias.data<float>()) % 64 == 0);
  Adam second(nn::parameters(layer));
  CHECK(layer.weight.to_vector<float>() == before);
  second.step();
  CHECK_THROWS_WITH_AS(first.step(), doctest::Contains("another optimizer"), Error);
}

TEST_CASE("optimizer: refuses what it cannot train") {
  CHECK_THROWS_AS(Adam(std::vector<Tensor>{}), Error);
  CHECK_THROWS_AS(Adam(std::vector{Tensor::zeros({2})}), Error);
  const Tensor leaf = nn::parameter(Tensor::zeros({2}));
  CHECK_THROWS_WITH_AS(Adam(std::vector{leaf * leaf}), doctest::Contains("it is computed"), Error);
  CHECK_THROWS_WITH_AS(Adam(std::vector{leaf, leaf}), doctest::Contains("listed twice"), Error);
  CHECK_THROWS_AS(Sgd(std::vector{nn::parameter(Tensor::zeros({2}))}, {.nesterov = true}), Error);
}

TEST_CASE("optimizer: a step and zero_grad are writes in place, of parameters, gradients and state") {
  for (const OptimizerFactory& make : {sgd({.momentum = 0.9}), adamw(), adam()}) {
    nn::Linear layer(2, 2);
    const auto optimizer = make(nn::parameters(layer));
    const Tensor loss = sum(layer.weight * layer.weight);
    std::vector<Tensor> written{layer.weight};
    for (const auto& [name, tensor] : optimizer->state()) written.push_back(tensor);
    std::vector<std::uint64_t> before;
    for (const Tensor& tensor : written) before.push_back(tensor.storage()->version());
    optimizer->step();
    for (std::size_t i = 0; i < written.size(); ++i) CHECK(written[i].storage()->version() > before[i]);
    CHECK_THROWS_WITH_AS(loss.backward(), doctest::Contains("modified in place"), Error);
    const std::uint64_t gradients = optimizer->gradients().storage()->version();
    optimizer->zero_grad();
    CHECK(optimizer->gradients().storage()->version() > gradients);
  }
}

TEST_CASE("parameter groups: each has its own rate and decay") {
  const auto stepped = [](const ParameterGroup& other) {
    const Tensor a = nn::parameter(Tensor::ones({3})), b = nn::parameter(Tensor::ones({20}));
    ParameterGroup group = other;
    group.parameters = {b};
    Sgd optimizer(std::vector<ParameterGroup>{{.parameters = {a}}, group}, {.lr = 0.1, .weight_decay = 0.5});
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
