// Ready-made models.
#pragma once

#include <vector>

#include "nn/sequential.h"

namespace mixgrad::nn {

struct SimpleCnnOptions {
  std::vector<std::int64_t> kernel_sizes = {};  // one per convolution; empty: 3 each
  std::vector<std::int64_t> strides = {};       // one per convolution; empty: 2 each
  bool batch_norm = false;                      // after each ReLU but the last; that convolution then has no bias
};

// fastai's simple_cnn: for each pair of neighbouring channels a convolution (padding kernel_size / 2) and a ReLU, the
// last included; then global average pooling and flatten. simple_cnn({3, 16, 16, 2}) takes 28x28x3 images through
// 14x14x16, 7x7x16 and 4x4x2 to two logits, with 3,058 parameters.
// Throws on fewer than two channel counts, or a list of the wrong length.
Sequential simple_cnn(const std::vector<std::int64_t>& channels, const SimpleCnnOptions& options = {});

// LeNet-5 (LeCun et al., "Gradient-based learning applied to document recognition", 1998) with ReLU and max pooling:
// convolutions of 6 and 16 channels, linear layers of 120 and 84. For images [N, 28, 28, in_channels].
Sequential lenet(std::int64_t in_channels, std::int64_t classes);

struct ResnetOptions {
  std::vector<std::int64_t> widths = {16, 32, 64};  // channels of each stage; each halves the image
  std::int64_t blocks = 1;                          // residual blocks of a stage, at most 1000
};

// A small residual network (He et al., 2015): for each stage a strided convolution with batch norm and ReLU, then
// blocks x + body(x) of two such convolutions; global average pooling and a linear layer at the end. The last batch
// norm of a body starts at weight 0, so that every block starts as the identity (Goyal et al., 2017). Any image of at
// least 8x8.
Sequential resnet(std::int64_t in_channels, std::int64_t classes, const ResnetOptions& options = {});

}  // namespace mixgrad::nn
