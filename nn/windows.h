// Where the windows of a convolution or a pooling lie in images.
#pragma once

#include <algorithm>

#include "core/tensor.h"

namespace mixgrad::nn {

// Windows in images [batch, height, width, channels] that are padded on all sides.
struct Windows {
  std::int64_t batch, height, width;
  std::int64_t kernel_height, kernel_width, stride, padding;  // of a window; from one to the next
  std::int64_t out_height = 0, out_width = 0;                 // the number of windows

  std::int64_t positions() const { return out_height * out_width; }  // per image

  // Of `pixels` along an axis, how many windows of this size, stride and padding see: the first ones. Rounding down
  // leaves out the rest.
  static std::int64_t seen(std::int64_t pixels, std::int64_t kernel_size, std::int64_t stride, std::int64_t padding) {
    const std::int64_t beyond = pixels + 2 * padding - kernel_size;
    return beyond < 0 ? pixels : std::min(beyond / stride * stride + kernel_size - padding, pixels);
  }
};

// The largest kernel size, stride and padding. Sums and products of them and of extents stay in 63 bits.
inline constexpr std::int64_t most_pixels = std::int64_t{1} << 20;

// The windows in images x [N, H, W, C], (H + 2*padding - kernel_height) / stride + 1, rounded down, from top to bottom;
// stride and padding at most most_pixels. Throws if there are none: "op: kernel exceeds input [1, 4, 4, 2] padded by
// 0", where `kernel` is the parts that name it; and on an empty image or window, since a window may then see no pixel
// at all.
template <class... Parts>
Windows windows_in(const char* op, const Tensor& x, std::int64_t kernel_height, std::int64_t kernel_width,
                   std::int64_t stride, std::int64_t padding, const Parts&... kernel) {
  Windows in{x.size(0), x.size(1), x.size(2), kernel_height, kernel_width, stride, padding};
  check(in.height > 0 && in.width > 0, op, ": input ", x.shape(), " has no pixels");
  check(kernel_height > 0 && kernel_width > 0, op, ": ", kernel..., " is empty");
  const std::int64_t down = in.height + 2 * padding - kernel_height, right = in.width + 2 * padding - kernel_width;
  check(down >= 0 && right >= 0, op, ": ", kernel..., " exceeds input ", x.shape(), " padded by ", padding);
  in.out_height = down / stride + 1;
  in.out_width = right / stride + 1;
  return in;
}

}  // namespace mixgrad::nn
