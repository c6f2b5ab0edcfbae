#include "core/gpu.cuh"
#include "core/sums.h"
#include "nn/pool.h"

namespace mixgrad::kernels {
namespace {

// Calls f(pixel, offset) for each pixel y * width + x of the window of output element i (of its channel) that is inside
// the image, in order; offset is that of the element of x.
template <class F>
__device__ void for_each_pixel(const Pool2dShape& s, std::int64_t i, F f) {
  const std::int64_t channel = i % s.channels, column = i / s.channels % s.out_width;
  const std::int64_t row = i / (s.channels * s.out_width) % s.out_height;
  const std::int64_t image = i / (s.channels * s.out_width * s.out_height);
  const std::int64_t top = row * s.stride - s.padding, left = column * s.stride - s.padding;
  for (std::int64_t y = top < 0 ? 0 : top; y < top + s.kernel_height && y < s.height; ++y)
    for (std::int64_t x = left < 0 ? 0 : left; x < left + s.kernel_width && x < s.width; ++x)
      f(y * s.width + x, ((image * s.height + y) * s.width + x) * s.channels + channel);
}

// Calls f(offset) for each window that has input element i in it, in order; offset is that of the element of y. Then a
// thread adds up its element's gradient alone.
template <class F>
__device__ void for_each_window(const Pool2dShape& s, std::int64_t i, F f) {
  const std::int64_t channel = i % s.channels, x = i / s.channels % s.width + s.padding;
  const std::int64_t y = i / (s.channels * s.width) % s.height + s.padding;
  const std::int64_t image = i / (s.channels * s.width * s.height);
  const auto first = [&](std::int64_t at, std::int64_t size) { return at < size ? 0 : (at - size) / s.stride + 1; };
  for (std::int64_t row = first(y, s.kernel_height); row <= y / s.stride && row < s.out_height; ++row)
    for (std::int64_t column = first(x, s.kernel_width); column <= x / s.stride && column < s.out_width; ++column)
      f(((image * s.out_height + row) * s.out_width + column) * s.channels + channel);
}

// place: null for means.
__global__ void forward_kernel(Pool2dShape s, float share, const float* x, std::int64_t n, float* y,
                               std::int32_t* place) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i >= n) return;
  RunningSum<float> sum;
  float largest = 0;
  std::int32_t at = -1;
  for_each_pixel(s, i, [&](std::int64_t pixel, std::int64_t offset) {
    const float value = x[offset];
    if (!place) return sum.add(value);
    if (!is_maximum(value, largest, at < 0)) return;
    largest = value;
    at = static_cast<std::int32_t>(pixel);
  });
  if (place) place[i] = at;
  y[i] = place ? largest : share * static_cast<float>(sum.value());
}

__global__ void backward_kernel(Pool2dShape s, float share, const std::int32_t* place, const float* dy, std::int64_t n,
                                float* dx) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i >= n) return;
  const auto pixel = static_cast<std::int32_t>(i / s.channels % (s.height * s.width));
  RunningSum<float> sum;
  for_each_window(s, i, [&](std::int64_t offset) { sum.add(!place || place[offset] == pixel ? dy[offset] : 0); });
  dx[i] = share * static_cast<float>(sum.value());
}

}  // namespace

void pool2d_forward(Cuda device, const Pool2dShape& s, const Tensor& x, Out y, Out place) {
  launch_threads(device, y.numel(), forward_kernel, s, share_of<float>(s), read(x), y.numel(), write(y),
                 place.defined() ? write<std::int32_t>(place) : nullptr);
}

void pool2d_backward(Cuda device, const Pool2dShape& s, const Tensor& place, const Tensor& dy, Out dx) {
  const bool mean = !place.defined();
  launch_threads(device, dx.numel(), backward_kernel, s, mean ? share_of<float>(s) : 1.0f,
                 mean ? nullptr : read<std::int32_t>(place), read(dy), dx.numel(), write(dx));
}

}  // namespace mixgrad::kernels
