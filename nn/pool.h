// Pooling over the pixels of images [N, H, W, C], each channel for itself.
#pragma once

#include "core/reduce.h"
#include "nn/module.h"

namespace mixgrad::nn {

struct Pool2dOptions {
  std::int64_t stride = 0;   // 0: the kernel size
  std::int64_t padding = 0;  // at most half of the kernel size
};

// y[n, i, j, c] = the maximum, or the mean, of x[n, i*stride + u - padding, j*stride + v - padding, c] over
// 0 <= u, v < kernel_size -> [N, H', W', C] with H' = (H + 2*padding - kernel_size) / stride + 1, rounded down.
// Padding never is a maximum and counts as zeros in a mean, as PyTorch's does. The gradient of a maximum goes to the
// first of equals. Throw unless x has four axes and the kernel fits the padded image.
Tensor max_pool2d(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options = {});
Tensor avg_pool2d(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options = {});

class MaxPool2d : public Module {
 public:
  explicit MaxPool2d(std::int64_t kernel_size, const Pool2dOptions& options = {})
      : kernel_size_(kernel_size), options_(options) {}
  using Module::forward;
  Tensor forward(const Tensor& x) override { return max_pool2d(x, kernel_size_, options_); }
  std::string name() const override { return "MaxPool2d(" + std::to_string(kernel_size_) + ")"; }

 private:
  std::int64_t kernel_size_;
  Pool2dOptions options_;
};

class AvgPool2d : public Module {
 public:
  explicit AvgPool2d(std::int64_t kernel_size, const Pool2dOptions& options = {})
      : kernel_size_(kernel_size), options_(options) {}
  using Module::forward;
  Tensor forward(const Tensor& x) override { return avg_pool2d(x, kernel_size_, options_); }
  std::string name() const override { return "AvgPool2d(" + std::to_string(kernel_size_) + ")"; }

 private:
  std::int64_t kernel_size_;
  Pool2dOptions options_;
};

// The mean over all pixels: [N, H, W, C] -> [N, 1, 1, C]. Throws unless there are four axes and a pixel.
class GlobalAvgPool : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override {
    check(x.rank() == 4, "GlobalAvgPool: input ", x.shape(), " must be [N, H, W, C]");
    return mean(x, {1, 2}, {.keepdim = true});
  }
  std::string name() const override { return "GlobalAvgPool"; }
};

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// The sizes of one pooling; x and y as above.
struct Pool2dShape {
  std::int64_t batch, height, width, channels, out_height, out_width;
  std::int64_t kernel_size, stride, padding;
};

// place (i32, of y's shape): the pixel y*width + x of the image that each maximum was found at.
MIXGRAD_KERNEL(max_pool2d_forward, const Pool2dShape& shape, const Tensor& x, const Tensor& y, const Tensor& place);
MIXGRAD_KERNEL(max_pool2d_backward, const Pool2dShape& shape, const Tensor& place, const Tensor& dy, const Tensor& dx);
MIXGRAD_KERNEL(avg_pool2d_forward, const Pool2dShape& shape, const Tensor& x, const Tensor& y);
MIXGRAD_KERNEL(avg_pool2d_backward, const Pool2dShape& shape, const Tensor& dy, const Tensor& dx);
}  // namespace mixgrad::kernels
