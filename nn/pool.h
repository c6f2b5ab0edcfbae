// Pooling over the pixels of an image.
#pragma once

#include "core/reduce.h"
#include "core/view.h"
#include "nn/module.h"

namespace mixgrad::nn {

// The mean over all pixels: [N, H, W, C] -> [N, 1, 1, C]. Throws unless there are four axes and a pixel.
class GlobalAvgPool : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override {
    check(x.rank() == 4, "GlobalAvgPool: input ", x.shape(), " must be [N, H, W, C]");
    const Tensor pixels = reshape(x, Shape{x.size(0), x.size(1) * x.size(2), x.size(3)});
    return reshape(mean(pixels, 1), Shape{x.size(0), 1, 1, x.size(3)});
  }
  std::string name() const override { return "GlobalAvgPool"; }
};

}  // namespace mixgrad::nn
