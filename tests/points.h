// Points of the plane, the smallest data to train on, and any other samples that a test gives as tensors.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::test {

// The same samples for training and validation, in their order.
inline data::DataLoaders loaders(const Tensor& x, const Tensor& y, std::int64_t batch_size = 8,
                                 std::vector<std::string> names = {"left", "right"}) {
  const auto samples = std::make_shared<data::TensorDataset>(x, y, std::move(names));
  return {data::DataLoader(samples, {.batch_size = batch_size}), data::DataLoader(samples, {.batch_size = batch_size})};
}

// Points of the plane; class 1 where the first coordinate is positive.
inline data::DataLoaders points(std::int64_t count, std::int64_t batch_size = 8) {
  Random random(3);
  std::vector<float> x;
  std::vector<std::int32_t> y;
  for (std::int64_t i = 0; i < count; ++i) {
    x.push_back(static_cast<float>(2 * random.uniform() - 1));
    x.push_back(static_cast<float>(2 * random.uniform() - 1));
    y.push_back(x[x.size() - 2] > 0);
  }
  return loaders(Tensor::from(x, {count, 2}), Tensor::from(y, {count}), batch_size);
}

// Plain SGD, and nothing printed.
inline train::LearnerOptions with_sgd(double momentum = 0) {
  return {.metrics = {train::accuracy},
          .optimizer = train::sgd({.lr = 0.1, .momentum = momentum}),
          .seed = 5,
          .verbose = false};
}

}  // namespace mixgrad::test
