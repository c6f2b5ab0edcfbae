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

}  // namespace mixgrad::nn
