// The convolution of nn/conv2d.h and its gradients as plain loops, for f32 and f64 (private): to be read, and for the
// tests, which compare the kernels with it.
//
// Each output is a sum of products x w, one for each pixel under the kernel, and the derivative of a product by one
// factor is the other. So forward and both gradients go through the same products and differ in what they add:
//
//   y += x w          dx += dy w          dweight += dy x
#pragma once

#include <algorithm>

#include "nn/conv2d.h"

namespace mixgrad::reference {

// Calls f(iy, ix, iw) with the indices into y [N, H', W', out], x [N, H, W, in] and weight [out, kh, kw, in / groups]
// of each product. What lies outside the image is zero and has none.
template <class F>
void for_each_product(const kernels::Conv2dShape& s, F f) {
  const std::int64_t group_in = s.in_channels / s.groups;
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t i = 0; i < s.out_height; ++i)
      for (std::int64_t j = 0; j < s.out_width; ++j)
        for (std::int64_t o = 0; o < s.out_channels; ++o)
          for (std::int64_t u = 0; u < s.kernel_height; ++u)
            for (std::int64_t v = 0; v < s.kernel_width; ++v)
              for (std::int64_t c = 0; c < group_in; ++c) {
                const std::int64_t row = i * s.stride + u - s.padding, column = j * s.stride + v - s.padding;
                if (row < 0 || row >= s.height || column < 0 || column >= s.width) continue;
                const std::int64_t channel = o / s.group_out() * group_in + c;
                f(((n * s.out_height + i) * s.out_width + j) * s.out_channels + o,
                  ((n * s.height + row) * s.width + column) * s.in_channels + channel,
                  ((o * s.kernel_height + u) * s.kernel_width + v) * group_in + c);
              }
}

template <class T>
void conv2d(const kernels::Conv2dShape& s, const T* x, const T* weight, const T* bias, T* y) {
  for (std::int64_t i = 0; i < s.batch * s.positions() * s.out_channels; ++i) y[i] = bias[i % s.out_channels];
  for_each_product(s, [=](auto iy, auto ix, auto iw) { y[iy] += x[ix] * weight[iw]; });
}

template <class T>
void conv2d_input_gradient(const kernels::Conv2dShape& s, const T* weight, const T* dy, T* dx) {
  std::fill_n(dx, s.batch * s.height * s.width * s.in_channels, T{0});
  for_each_product(s, [=](auto iy, auto ix, auto iw) { dx[ix] += dy[iy] * weight[iw]; });
}

template <class T>
void conv2d_weight_gradient(const kernels::Conv2dShape& s, const T* x, const T* dy, T* dweight) {
  std::fill_n(dweight, s.out_channels * s.group_patch(), T{0});
  for_each_product(s, [=](auto iy, auto ix, auto iw) { dweight[iw] += dy[iy] * x[ix]; });
}

}  // namespace mixgrad::reference
