// That images gathered and mixed in one pass are those gathered and then mixed, for either device.
#pragma once

#include <doctest/doctest.h>

#include <utility>
#include <vector>

#include "augment/gather_mixed.h"
#include "core/index.h"
#include "core/random.h"

namespace mixgrad::test {

inline void check_gather_mixed(Device device) {
  for (const auto& channels_of : {std::pair{1, 1}, {1, 2}, {1, 3}, {1, 5}, {3, 3}})
    for (const std::int64_t width : {1, 5, 8}) {
      const std::int64_t stored = channels_of.first, channels = channels_of.second;
      CAPTURE(stored);
      CAPTURE(channels);
      CAPTURE(width);
      Random random(3);
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(9 * 4 * width * stored));
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.bits());
      const Tensor labels = Tensor::from<std::int32_t>({0, 1, 2, 2, 1, 0, 0, 2, 1}, {9});
      const auto dataset = data::ImageDataset({Tensor::from(bytes, {9, 4, width, stored}), labels}, {"a", "b", "c"},
                                              {.channels = channels})
                               .to(device);
      const Tensor numbers = Tensor::from<std::int32_t>({8, 0, 3, 3, 5}, {5}).to(device);
      const augment::MixPlan plan = augment::draw_mix_plan(5, {}, random);
      const Tensor partners = gather(numbers, plan.permutation.to(device));
      const data::Batch batch = dataset->gather(numbers);
      const augment::MixedTarget y = augment::mixed_target(batch.y, plan);
      const augment::MixedBatch mixed = augment::gather_mixed(*dataset, numbers, partners, plan.lambda.to(device));
      const auto values = [](const Tensor& t) { return t.to(cpu).to(DType::f64).to_vector<double>(); };
      CHECK(mixed.x.shape() == Shape{5, 4, width, channels});
      CHECK(values(mixed.x) == values(augment::mix(batch.x, plan)));
      CHECK(values(mixed.y.y) == values(y.y));
      CHECK(values(mixed.y.partner) == values(y.partner));
      CHECK(values(mixed.y.lambda) == values(y.lambda));
    }
}

}  // namespace mixgrad::test
