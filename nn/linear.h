// The fully connected layer, y = x W^T + b.
#pragma once

#include "nn/module.h"

namespace mixgrad::nn {

struct LinearOptions {
  bool bias = true;
};

// x [N, in] -> [N, out], weight [out, in] from Kaiming's normal distribution, bias [out] zero.
class Linear : public Module {
 public:
  Linear(std::int64_t in_features, std::int64_t out_features, const LinearOptions& options = {});

  Tensor forward(const Tensor& x) override;  // throws unless x is [N, in]
  void visit(Visitor& visitor) override;
  std::string name() const override;
  std::int64_t multiply_adds(const Shape& input, const Shape& output) const override;

  Tensor weight;  // [out, in]
  Tensor bias;    // [out], or undefined
};

}  // namespace mixgrad::nn
