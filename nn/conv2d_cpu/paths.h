// How a convolution is computed on the CPU (private): the paths, and which one takes it. Shape and dtype alone decide.
#pragma once

#include <algorithm>

#include "core/tile.h"
#include "nn/conv2d.h"

namespace mixgrad::kernels {

// A group for each channel: a channel is a lane of a vector.
inline bool by_depthwise(const Conv2dShape& s) { return s.in_channels == s.groups && s.out_channels == s.groups; }
// A product of matrices, with all of x as one of them.
inline bool is_product(const Conv2dShape& s) {
  return s.patch() == s.in_channels && s.stride == 1 && s.padding == 0 && s.positions() == s.height * s.width;
}
// f64 is computed as products, and gradients of f32 that are products of so many channels that threads share those.
// The rest of f32 are tiles that stay in registers.
inline bool gradients_by_products(const Conv2dShape& s, DType dtype) {
  return dtype == DType::f64 || (is_product(s) && s.groups == 1 && std::max(s.in_channels, s.out_channels) >= 128);
}
// Of tiles: the outputs are so few that vectors of them would be nearly empty; vectors hold elements of a patch
// instead, and patches are copied for that.
inline bool by_patches(const Conv2dShape& s) { return s.out_channels <= lanes / 4 && s.patch() >= lanes; }
// Of tiles, for the input gradient: the inputs are so few. Vectors hold neighbouring outputs, and what each adds to the
// pixels under the kernel is added up afterwards, which many taps would make inexact.
inline bool by_few_inputs(const Conv2dShape& s) {
  const std::int64_t taps = s.kernel_height * s.kernel_width;
  return s.in_channels <= lanes / 2 && taps >= 4 && taps <= 192 &&
         s.stride <= std::min(s.kernel_height, s.kernel_width);
}
// Of tiles, for the gradient of the weight: a large image of many channels is copied plane by plane. A tile's rows are
// channels then, each read from neighbouring elements, so that every line of the cache is used up.
inline bool by_planes(const Conv2dShape& s) {
  const std::int64_t padded = (s.height + 2 * s.padding) * (s.width + 2 * s.padding) * s.in_channels;
  return !by_patches(s) && s.in_channels >= 8 && padded > 8192;
}
// Of tiles, a group at a time: 3x3 convolutions of stride 1 with so many channels that Winograd's filtering saves more
// than its transforms cost. The batch is not asked: a sample's result must not depend on it.
inline bool by_winograd(const Conv2dShape& s) {
  return s.kernel_height == 3 && s.kernel_width == 3 && s.stride == 1 && s.padding <= 2 &&
         std::min(s.in_channels, s.out_channels) >= 16 && s.in_channels * s.out_channels >= 512 &&
         std::min(s.height, s.width) >= 3 && std::min(s.out_height, s.out_width) >= 2;
}
// The weight's gradient is a sum over the batch. Where that is short, the error of the transforms would show.
inline bool weight_gradient_by_winograd(const Conv2dShape& s) {
  return by_winograd(s) && s.batch * s.positions() >= 192;
}

// Either of dweight and dbias may be undefined. f32, one group; y is read with relu only:
namespace conv2d_tiles {
void forward(const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y);
void input_gradient(const Conv2dShape& shape, const Tensor& weight, const Tensor& y, const Tensor& dy, Out dx);
void parameter_gradients(const Conv2dShape& shape, const Tensor& x, const Tensor& y, const Tensor& dy, Out dweight,
                         Out dbias);
}  // namespace conv2d_tiles

// The same for the shapes of by_winograd:
namespace conv2d_winograd {
void forward(const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y);
void input_gradient(const Conv2dShape& shape, const Tensor& weight, const Tensor& y, const Tensor& dy, Out dx);
void weight_gradient(const Conv2dShape& shape, const Tensor& x, const Tensor& y, const Tensor& dy, Out dweight);
}  // namespace conv2d_winograd

// Either dtype, the shapes of by_depthwise; the gradients are those of the convolution alone, without relu:
namespace conv2d_depthwise {
void forward(const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y);
void input_gradient(const Conv2dShape& shape, const Tensor& weight, const Tensor& dy, Out dx);
void parameter_gradients(const Conv2dShape& shape, const Tensor& x, const Tensor& dy, Out dweight, Out dbias);
}  // namespace conv2d_depthwise

// Either dtype, one group; the gradients as for depthwise:
namespace conv2d_products {
void forward(const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y);
void backward(const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& dy, Out dx, Out dweight,
              Out dbias);
}  // namespace conv2d_products

}  // namespace mixgrad::kernels
