// Pooling over the pixels of images [N, H, W, C], each channel for itself.
#pragma once

#include "nn/function.h"
#include "nn/windows.h"

namespace mixgrad::nn {

struct Pool2dOptions {
  std::int64_t stride = 0;   // 0: the kernel size; at most 2^20, as that is
  std::int64_t padding = 0;  // at most half of the kernel size
};

// y[n, i, j, c] = the maximum, or the mean, of x[n, i*stride + u - padding, j*stride + v - padding, c] over
// 0 <= u, v < kernel_size -> [N, H', W', C] with H' = (H + 2*padding - kernel_size) / stride + 1, rounded down.
// Padding never is a maximum and counts as zeros in a mean; a nan is larger than all else. The gradient of a maximum
// goes to the first of equals, or to the last nan: as PyTorch's. Throw unless x has four axes, none but the first of
// them empty, and the kernel fits the padded image.
Tensor max_pool2d(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options = {});
Tensor avg_pool2d(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options = {});

// The mean over all pixels: [N, H, W, C] -> [N, 1, 1, C]. Throws unless there are four axes and a pixel.
Tensor global_avg_pool(const Tensor& x);

// The layers throw on bad options when they are made.
class Pool2d : public Function {
 public:
  // Of so many pixels along an axis of the input, how many are read: the first ones.
  std::int64_t seen(std::int64_t pixels) const {
    return Windows::seen(pixels, kernel_size_, options_.stride, options_.padding);
  }

 protected:
  using Op = Tensor (*)(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options);
  Pool2d(const char* name, Op op, std::int64_t kernel_size, const Pool2dOptions& options);

 private:
  std::int64_t kernel_size_;
  Pool2dOptions options_;
};

struct MaxPool2d : Pool2d {
  explicit MaxPool2d(std::int64_t kernel_size, const Pool2dOptions& options = {})
      : Pool2d("MaxPool2d", max_pool2d, kernel_size, options) {}
};

struct AvgPool2d : Pool2d {
  explicit AvgPool2d(std::int64_t kernel_size, const Pool2dOptions& options = {})
      : Pool2d("AvgPool2d", avg_pool2d, kernel_size, options) {}
};

struct GlobalAvgPool : Function {
  GlobalAvgPool() : Function("GlobalAvgPool", global_avg_pool) {}
};

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// The sizes of one pooling; x and y as above.
struct Pool2dShape : nn::Windows {
  std::int64_t channels;
};

// Whether a value takes the place of the largest so far, if there is one. A nan is taken and kept, and of pixels that
// are all -inf the first.
template <class T>
MIXGRAD_HOST_DEVICE bool is_maximum(T value, T largest, bool none_so_far) {
  return value > largest || value != value || none_so_far;
}
// The factor of a mean.
template <class T>
T share_of(const Pool2dShape& s) {
  return 1 / static_cast<T>(s.kernel_height * s.kernel_width);
}
// place (i32, of y's shape): the pixel y*width + x of the image that each maximum was found at; undefined: means.
MIXGRAD_KERNEL(pool2d_forward, const Pool2dShape& shape, const Tensor& x, Out y, Out place);
MIXGRAD_KERNEL(pool2d_backward, const Pool2dShape& shape, const Tensor& place, const Tensor& dy, Out dx);
}  // namespace mixgrad::kernels
