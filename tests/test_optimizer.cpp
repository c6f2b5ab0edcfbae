// Optimizers: where parameters and gradients lie, and what is refused.
#include <doctest/doctest.h>

#include "mixgrad.h"

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
  CHECK_THROWS_AS(Sgd(std::vector{nn::parameter(Tensor::zeros({2}))}, {.nesterov = true}), Error);
}
