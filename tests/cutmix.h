// CutMix against a plain loop, and that images gathered and cut in one pass are those gathered and then cut: for either
// device.
#pragma once

#include <doctest/doctest.h>

#include <numeric>
#include <utility>
#include <vector>

#include "augment/cutmix.h"
#include "core/index.h"
#include "data/image_dataset.h"

namespace mixgrad::test {

inline void check_cutmix(Device device) {
  for (const auto& channels_of : {std::pair{1, 1}, {1, 3}, {3, 3}, {1, 5}})
    for (const std::int64_t width : {1, 5, 8}) {
      const std::int64_t stored = channels_of.first, channels = channels_of.second, n = 6, height = 4;
      CAPTURE(stored);
      CAPTURE(channels);
      CAPTURE(width);
      Random random(3);
      std::vector<std::uint8_t> bytes(static_cast<std::size_t>(9 * height * width * stored));
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random.bits());
      const Tensor labels = Tensor::from<std::int32_t>({0, 1, 2, 2, 1, 0, 0, 2, 1}, {9});
      const auto dataset =
          data::ImageDataset({Tensor::from(bytes, {9, height, width, stored}), labels, channels}, {"a", "b", "c"})
              .to(device);
      const Tensor indices = Tensor::from<std::int32_t>({8, 0, 3, 3, 5, 7}, {n}).to(device);
      const augment::CutMix cutmix;
      const Shape batch{n, height, width, channels};
      augment::MixPlan plan = cutmix.draw(batch, random);
      const std::vector<std::int32_t> whole{0, height, 0, static_cast<std::int32_t>(width)}, none{0, 0, 0, 0};
      std::copy(whole.begin(), whole.end(), plan.more.begin());
      std::copy(none.begin(), none.end(), plan.more.begin() + 4);
      const Tensor partners = gather(indices, Tensor::from(plan.permutation, {n}).to(device));

      const data::Batch own = dataset->gather_batch(indices), other = dataset->gather_batch(partners);
      const auto a = own.x.to_vector<float>(), b = other.x.to_vector<float>();
      std::vector<float> expected;
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int32_t* const box = plan.more.data() + 4 * i;
        for (std::int64_t y = 0; y < height; ++y)
          for (std::int64_t x = 0; x < width; ++x) {
            const bool inside = y >= box[0] && y < box[1] && x >= box[2] && x < box[3];
            for (std::int64_t c = 0; c < channels; ++c)
              expected.push_back((inside ? b : a)[static_cast<std::size_t>(std::ssize(expected))]);
          }
      }
      const augment::MixDraw draw(plan, device);
      const auto in_one_pass = cutmix.gather(*dataset->stored(), indices, partners, draw);
      CHECK(cutmix.combine(own.x, other.x, draw).to_vector<float>() == expected);
      CHECK(in_one_pass.x.to_vector<float>() == expected);
      CHECK(in_one_pass.y.y.to_vector<std::int32_t>() == own.y.to_vector<std::int32_t>());
      CHECK(in_one_pass.y.partner.to_vector<std::int32_t>() == other.y.to_vector<std::int32_t>());
      CHECK(in_one_pass.y.lambda.to_vector<float>() == plan.lambda);
    }
}

}  // namespace mixgrad::test
