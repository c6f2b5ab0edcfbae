// What differs between a model's weights here and in PyTorch (private): convolutions are [out, in, kh, kw] there, and
// images [C, H, W], which a Flatten puts in another order, so that the columns of the Linear behind it differ too.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "nn/module.h"

namespace mixgrad::nn {

class PyTorchLayout {
 public:
  // Follows an image through the layers, which are taken to run in the order in which visit() names them. Throws an
  // error that begins with `source` where that leaves open which image a Linear reads: behind a Flatten before which
  // there is no convolution, or a way of flattening other than Flatten, or with a layer between that has weights.
  PyTorchLayout(Module& model, const std::string& source);

  Tensor to_pytorch(const std::string& name, const Tensor& tensor) const;
  Tensor from_pytorch(const std::string& name, const Tensor& tensor) const;

 private:
  // For the weight of each Linear that reads a flattened image: that image's channels.
  std::map<std::string, std::int64_t> channels_;
};

}  // namespace mixgrad::nn
