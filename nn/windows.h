// Where a kernel fits into an image (private: for convolution and pooling).
#pragma once

#include <utility>

#include "core/tensor.h"

namespace mixgrad::nn {

// The largest kernel size, stride and padding. Sums and products of them and of extents stay in 63 bits.
inline constexpr std::int64_t most_pixels = std::int64_t{1} << 20;

// The heights and widths at which windows [height, width], `stride` apart, lie in images x [N, H, W, C] that are padded
// on all sides: (H + 2*padding - height) / stride + 1, rounded down; stride and padding at most most_pixels. Throws if
// there are none: "op: kernel exceeds input [1, 4, 4, 2] padded by 0", where `kernel` is the parts that name it; and on
// an empty image or window, since a window may then see no pixel at all.
template <class... Parts>
std::pair<std::int64_t, std::int64_t> windows_in(const char* op, const Tensor& x, std::int64_t height,
                                                 std::int64_t width, std::int64_t stride, std::int64_t padding,
                                                 const Parts&... kernel) {
  check(x.size(1) > 0 && x.size(2) > 0, op, ": input ", x.shape(), " has no pixels");
  check(height > 0 && width > 0, op, ": ", kernel..., " is empty");
  const std::int64_t free_height = x.size(1) + 2 * padding - height, free_width = x.size(2) + 2 * padding - width;
  check(free_height >= 0 && free_width >= 0, op, ": ", kernel..., " exceeds input ", x.shape(), " padded by ", padding);
  return {free_height / stride + 1, free_width / stride + 1};
}

}  // namespace mixgrad::nn
