// Ready-made models.
#pragma once

#include <vector>

#include "nn/normalise.h"
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

// A wide residual network (Zagoruyko and Komodakis, 2016) for 32x32 colour images, as fastai v1 has it for CIFAR-10: a
// convolution of 16 channels; three groups of (depth - 4) / 6 blocks of 16 k, 32 k, 64 k channels, the second and third
// of which halve the image; batch norm, ReLU, global average pooling and a linear layer. A block has its batch norm and
// ReLU in front of each of its two convolutions, and adds .2 of what they make to its input. wide_resnet(22, 6)
// has 9.65 million parameters. Throws unless depth is 4 + a multiple of 6 in 10..1000, and k in 1..64.
Sequential wide_resnet(std::int64_t depth, std::int64_t k, std::int64_t classes = 10);

struct AirbenchOptions {
  std::vector<std::int64_t> widths = {64, 256, 256};  // channels of the blocks
  functions::Activation activation = functions::Gelu{}, whitening_activation = functions::Gelu{};
  double batch_norm_momentum = 0.4;
  double logits_scale = 1.0 / 9;
  std::int64_t classes = 10;
};

// The network of Jordan's airbench94 ("94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024) for images [N, 32, 32,
// 3] in [0, 1]: normalised by CIFAR-10's mean and deviation; a whitening 2x2 convolution with these filters, of
// normalised images (cifar10_normalise); for each width a block of two 3x3 convolutions, the first with max pooling of
// 2, each with batch norm of fixed scale and the activation; max pooling of 3, a linear layer, and logits x scale.
// Filters are uniform, the first of them the identity. Throws unless there are three positive widths.
Sequential airbench(const Tensor& filters, const AirbenchOptions& options = {});
Normalise cifar10_normalise();

}  // namespace mixgrad::nn
