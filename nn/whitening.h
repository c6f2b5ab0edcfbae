// A first convolution whose filters decorrelate the pixels of small patches, from the images alone (as in Page, "How to
// train your ResNet", 2018, and Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024).
#pragma once

#include "nn/conv2d.h"

namespace mixgrad::nn {

struct WhiteningOptions {
  std::int64_t kernel_size = 2;
  double eps = 5e-4;  // added to the variances, so that directions of little but noise are not blown up
};

// With C the mean of p p^T over all patches p [k k channels] of the images, and C v = variance v for unit vectors v:
//
//   filters v / sqrt(variance + eps), the largest variance first, then their negatives: [2 k k channels, k, k,
//   channels]
//
// so that the outputs of the first half have the variance 1 and no correlation. A vector's largest element is positive.
// Throws unless images are f32 [N, H, W, channels] with a patch, on the CPU, eps is positive, and k k channels is at
// most 4096.
Tensor whitening_filters(const Tensor& images, const WhiteningOptions& options = {});

// The convolution with these filters, stride 1, no padding. They are a buffer: saved, not trained. The bias is trained,
// zero at first.
class Whitening : public Module {
 public:
  explicit Whitening(Tensor filters) : weight(std::move(filters)) {
    check(weight.rank() == 4 && weight.numel() > 0, "Whitening: filters ", weight.shape(),
          " must be [out, kh, kw, in]");
    bias = parameter(Tensor::zeros({weight.size(0)}));
  }

  Tensor forward(const Tensor& x) override { return conv2d(x, weight, bias); }
  void visit(Visitor& visitor) override {
    visitor.buffer("weight", weight);
    visitor.parameter("bias", bias);
  }
  std::string name() const override {
    return text_of("Whitening(", weight.size(3), ", ", weight.size(0), ", kernel_size=", weight.size(1), ")");
  }
  std::int64_t multiply_adds(const Shape&, const Shape& output) const override {
    return output.numel() * weight.numel() / weight.size(0);
  }

  Tensor weight, bias;  // [out, k, k, in], [out]
};

}  // namespace mixgrad::nn
