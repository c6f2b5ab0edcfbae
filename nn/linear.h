// The fully connected layer, y = x W^T + b: made of operations that exist.
#pragma once

#include "core/matmul.h"
#include "core/pointwise.h"
#include "nn/init.h"
#include "nn/module.h"

namespace mixgrad::nn {

struct LinearOptions {
  bool bias = true;
};

// x [N, in] -> [N, out], weight [out, in] from Kaiming's normal distribution, bias [out] zero.
class Linear : public Module {
 public:
  Linear(std::int64_t in_features, std::int64_t out_features, const LinearOptions& options = {}) {
    check(in_features > 0 && out_features > 0, "Linear: needs positive feature counts, got ", in_features, " and ",
          out_features);
    weight = parameter(kaiming_normal({out_features, in_features}, in_features));
    if (options.bias) bias = parameter(Tensor::zeros({out_features}));
  }

  // Throws unless x is [N, in].
  Tensor forward(const Tensor& x) override {
    check(x.rank() == 2 && x.size(1) == weight.size(1), "Linear: input ", x.shape(), " must be [N, ", weight.size(1),
          "] for weight ", weight.shape());
    const Tensor y = matmul(x, weight, {.transpose_b = true});
    return bias.defined() ? y + bias : y;
  }
  void visit(Visitor& visitor) override {
    visitor.parameter("weight", weight);
    visitor.parameter("bias", bias);
  }
  std::string name() const override { return text_of("Linear(", weight.size(1), ", ", weight.size(0), ")"); }
  std::int64_t multiply_adds(const Shape&, const Shape& output) const override {
    return output.numel() * weight.size(1);
  }

  Tensor weight;  // [out, in]
  Tensor bias;    // [out], or undefined
};

}  // namespace mixgrad::nn
