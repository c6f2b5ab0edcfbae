// A batch from the bytes of stored images (private: for kernels that gather images, or process them in the same pass
// over memory).
#pragma once

#include <algorithm>

#include "core/host_device.h"
#include "core/index.h"
#include "core/parallel.h"
#include "data/dataset.h"

namespace mixgrad::kernels {

// byte / 255, correctly rounded, without a division: 1 / 255 is 2^-8 + 2^-16 and a rest, and the first product is
// exact.
MIXGRAD_HOST_DEVICE constexpr float grey(std::uint8_t byte) {
  constexpr float most = 0x1.01p-8f, rest = 0x1.010102p-24f;
  return static_cast<float>(byte) * most + static_cast<float>(byte) * rest;
}

inline std::int64_t bytes_of_one(const Tensor& images) { return images.shape().product(1, 4); }

// On the CPU, the bytes of image indices[n].
inline auto images_of(const data::LabelledImages& stored, const Tensor& indices) {
  return [byte = stored.images.data<std::uint8_t>(), index = indices.data<std::int32_t>(),
          size = bytes_of_one(stored.images)](std::int64_t n) { return byte + index[n] * size; };
}

// On the CPU, x[n, i, every channel] = value(i) for each byte i of a stored image that is cut into so many lines, where
// value = pixels(n, line), and i counts from the line's first byte.
template <class F>
void fill_images(const data::LabelledImages& stored, const Tensor& x, std::int64_t lines, F pixels) {
  constexpr std::int64_t grain = std::int64_t{1} << 12;  // bytes read per range
  const std::int64_t image = bytes_of_one(stored.images), copies = x.size(3) / stored.images.size(3);
  const std::int64_t width = lines > 0 ? image / lines : 0;
  float* const to = x.mutable_data<float>();
  parallel_for(x.size(0), rows_per_range(image, grain), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin * lines; row < end * lines; ++row) {
      const auto value = pixels(row / lines, row % lines);
      float* target = to + row * width * copies;
      if (copies == 1)
        for (std::int64_t i = 0; i < width; ++i) target[i] = value(i);
      else if (copies == 3)  // vectorises, unlike a loop over the copies
        for (std::int64_t i = 0; i < width; ++i) target[3 * i] = target[3 * i + 1] = target[3 * i + 2] = value(i);
      else
        for (std::int64_t i = 0; i < width; ++i) std::fill_n(target + i * copies, copies, value(i));
    }
  });
}

// On the CPU, y[n] = labels[indices[n]]; throws when an index is out of range.
inline void gather_labels(const Tensor& labels, const Tensor& indices, Out y) {
  mixgrad::check_indices("dataset", indices, labels.numel());
  const auto* label = labels.data<std::int32_t>();
  const auto* index = indices.data<std::int32_t>();
  auto* to = y.mutable_data<std::int32_t>();
  for (std::int64_t n = 0; n < y.numel(); ++n) to[n] = label[index[n]];
}

}  // namespace mixgrad::kernels
