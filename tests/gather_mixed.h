// The formula of the mixture where it is hard, and that images gathered and mixed in one pass are those gathered and
// then mixed: for either device.
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "augment/mixup.h"
#include "core/index.h"
#include "core/random.h"
#include "core/view.h"
#include "data/image_dataset.h"

namespace mixgrad::test {

inline void check_mix(Device device, DType dtype = DType::f32) {
  struct Case {
    float a, b, lambda;
    double mixed;
  };
  const float most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::denorm_min();
  const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<Case> cases = {// lambda = 1 and 0: the one side and the other, be the other what it may
                             {1e8f, 1, 0, 1},
                             {1e8f, 1, 1, 1e8f},
                             {0.1f, 0.7f, 0, 0.7f},
                             {0.1f, 0.7f, 1, 0.1f},
                             {most, least, 0, least},
                             {least, -most, 1, least},
                             {nan, 2, 0, 2},
                             {2, nan, 1, 2},
                             {inf, 2, 0, 2},
                             {2, -inf, 1, 2},
                             {inf, nan, 1, inf},
                             // nothing finite overflows
                             {3e38f, -3e38f, 0.5f, 0},
                             {3e38f, -3e38f, 0.25f, -1.5e38f},
                             {-most, most, 0.75f, -most / 2},
                             {most, 0, 0.5f, most / 2},
                             // an infinite side wins, two opposite ones give nan, and so does a nan
                             {inf, 2, 0.7f, inf},
                             {inf, 2, 0.3f, inf},
                             {2, -inf, 0.7f, -inf},
                             {inf, -inf, 0.5f, nan},
                             {nan, 2, 0.5f, nan},
                             {2, nan, 0.9f, nan}};
  Random random(4);
  const float same[] = {0.0f, -0.0f, 0.1f, 1 / 3.0f, -7e-3f, least, -3 * least, 1e-38f, most, -most, inf, -inf};
  for (const float value : same)  // to the last bit, for every lambda
    for (const float lambda : {0.0f, 1e-30f, 0.3f, 0.5f, static_cast<float>(random.uniform()), 1 - 0x1p-24f, 1.0f})
      cases.push_back({value, value, lambda, value});
  const auto count = static_cast<std::int64_t>(cases.size());
  const auto column = [&](auto member) {
    std::vector<float> values;
    for (const Case& each : cases) values.push_back(each.*member);
    return Tensor::from(values, {count}).to(dtype).to(device);
  };
  const auto mixed = augment::mix({column(&Case::a), column(&Case::b), column(&Case::lambda)}).to(cpu).to(DType::f64);
  for (std::int64_t i = 0; i < count; ++i) {
    const Case& each = cases[static_cast<std::size_t>(i)];
    const double value = mixed.data<double>()[i];
    CAPTURE(each.a);
    CAPTURE(each.b);
    CAPTURE(each.lambda);
    if (std::isnan(each.mixed)) CHECK(std::isnan(value));
    else CHECK(value == each.mixed);
    CHECK((std::isnan(each.mixed) || std::signbit(value) == std::signbit(each.mixed)));
  }
}

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
      const auto dataset =
          data::ImageDataset({Tensor::from(bytes, {9, 4, width, stored}), labels, channels}, {"a", "b", "c"})
              .to(device);
      const Tensor numbers = Tensor::from<std::int32_t>({8, 0, 3, 3, 5}, {5}).to(device);
      augment::MixPlan plan = augment::draw_mix_plan(5, {}, random);
      plan.lambda = {0.0f, 1.0f, 0.3f, 0.5f, plan.lambda[4]};
      const Tensor partners = gather(numbers, Tensor::from(plan.permutation, {5}).to(device));
      const data::Batch batch = dataset->gather_batch(numbers);
      const augment::MixedTarget y = augment::mixed_target(batch.y, plan);
      const augment::MixedBatch mixed = augment::MixUp().gather(*dataset->stored(), numbers, partners, {plan, device});
      const auto values = [](const Tensor& t) { return t.to(cpu).to(DType::f64).to_vector<double>(); };
      CHECK(mixed.x.shape() == Shape{5, 4, width, channels});
      CHECK(values(mixed.x) == values(augment::mix(batch.x, plan)));
      CHECK(values(slice(mixed.x, 0, 1)) == values(dataset->gather_batch(slice(partners, 0, 1)).x));
      CHECK(values(slice(mixed.x, 1, 2)) == values(slice(batch.x, 1, 2)));
      CHECK(values(mixed.y.y) == values(y.y));
      CHECK(values(mixed.y.partner) == values(y.partner));
      CHECK(values(mixed.y.lambda) == values(y.lambda));
    }
}

}  // namespace mixgrad::test
