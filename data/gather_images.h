// A batch from the bytes of stored images (private: for kernels that gather images, or process them in the same pass
// over memory).
#pragma once

#include <algorithm>

#include "core/index.h"
#include "core/parallel.h"

namespace mixgrad::kernels {

inline float grey(std::uint8_t byte) { return static_cast<float>(byte) / 255.0f; }

inline std::int64_t bytes_of_one(const Tensor& images) { return images.shape().product(1, 4); }

// On the CPU, x[n, i, every channel] = value(i) for each byte i of a stored image, where value = pixels(n).
template <class F>
void fill_images(const Tensor& images, const Tensor& x, F pixels) {
  constexpr std::int64_t grain = std::int64_t{1} << 12;  // bytes read per range
  const std::int64_t image = bytes_of_one(images), copies = x.size(3) / images.size(3);
  float* const to = x.mutable_data<float>();
  parallel_for(x.size(0), rows_per_range(image, grain), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const auto value = pixels(n);
      float* target = to + n * image * copies;
      if (copies == 1)
        for (std::int64_t i = 0; i < image; ++i) target[i] = value(i);
      else if (copies == 3)  // vectorises, unlike a loop over the copies
        for (std::int64_t i = 0; i < image; ++i) target[3 * i] = target[3 * i + 1] = target[3 * i + 2] = value(i);
      else
        for (std::int64_t i = 0; i < image; ++i) std::fill_n(target + i * copies, copies, value(i));
    }
  });
}

// On the CPU, y[n] = labels[indices[n]]; throws when an index is out of range.
inline void gather_labels(const Tensor& labels, const Tensor& indices, const Tensor& y) {
  mixgrad::check_indices("dataset", indices, labels.numel());
  const auto* label = labels.data<std::int32_t>();
  const auto* index = indices.data<std::int32_t>();
  auto* to = y.mutable_data<std::int32_t>();
  for (std::int64_t n = 0; n < y.numel(); ++n) to[n] = label[index[n]];
}

}  // namespace mixgrad::kernels
