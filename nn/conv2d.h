// Two-dimensional convolution, as the field uses the word: cross-correlation with zero padding.
//
//   y[n, i, j, o] = bias[o] + sum over u, v, c of x[n, i*stride + u - padding, j*stride + v - padding, c] w[o, u, v, c]
//
// Images are NHWC, weights [out, kh, kw, in]. With groups, the channels are cut into as many equal parts, and each part
// of the output sees its own part of the input only; groups = in = out is depthwise convolution. Thus a convolution is
// the matrix product of the image's patches [N*H'*W', kh*kw*in] with the weight's transpose [kh*kw*in, out], and
// channels lie next to each other in memory.
#pragma once

#include "nn/module.h"
#include "nn/pool.h"
#include "nn/windows.h"

namespace mixgrad::nn {

struct Conv2dOptions {
  std::int64_t kernel_size = 3;  // these three: at most 2^20
  std::int64_t stride = 1;
  std::int64_t padding = 0;
  std::int64_t groups = 1;
  bool bias = true;
};

// x [N, H, W, in], weight [out, kh, kw, in / groups], bias [out] or undefined -> [N, H', W', out] with
// H' = (H + 2*padding - kh) / stride + 1, rounded down. Throws when channels differ, are no multiple of groups, or the
// kernel exceeds the padded image, and on an image without pixels, as PyTorch does. stride >= 1, padding >= 0; the
// options' kernel_size and bias are not read.
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options = {});
// relu of that, in the same pass.
Tensor conv2d_relu(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options = {});
// Either of them, but only those of the first rows and columns that the pooling behind it reads.
Tensor conv2d_before(const Pool2d& pool, bool relu, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const Conv2dOptions& options = {});

// The layer: weight from Kaiming's normal distribution, bias zero.
class Conv2d : public Module {
 public:
  Conv2d(std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options = {});

  Tensor forward(const Tensor& x) override { return conv2d(x, weight, bias, options_); }
  Tensor forward_relu(const Tensor& x) { return conv2d_relu(x, weight, bias, options_); }
  Tensor forward_before(const Pool2d& pool, bool relu, const Tensor& x) {
    return conv2d_before(pool, relu, x, weight, bias, options_);
  }
  void visit(Visitor& visitor) override {
    visitor.parameter("weight", weight);
    visitor.parameter("bias", bias);
  }
  std::string name() const override;
  std::int64_t multiply_adds(const Shape&, const Shape& output) const override {
    return output.numel() * weight.numel() / weight.size(0);
  }

  Tensor weight;  // [out, kernel_size, kernel_size, in / groups]
  Tensor bias;    // [out], or undefined

 private:
  Conv2dOptions options_;
};

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// The sizes of one convolution; x, w, y as above.
struct Conv2dShape : nn::Windows {
  std::int64_t in_channels, out_channels, groups;
  bool relu;  // y = max(y, 0), and gradients are as they flow through that

  std::int64_t patch() const { return kernel_height * kernel_width * in_channels; }  // elements per position
  std::int64_t group_patch() const { return patch() / groups; }
  std::int64_t group_out() const { return out_channels / groups; }
};

MIXGRAD_KERNEL(conv2d_forward, const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias,
               Out y);
// The gradients, each overwritten; any of dx, dweight and dbias may be undefined and is then not computed. y is read
// with relu only, and undefined without.
MIXGRAD_KERNEL(conv2d_backward, const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& y,
               const Tensor& dy, Out dx, Out dweight, Out dbias);
}  // namespace mixgrad::kernels
