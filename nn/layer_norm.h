// Layer normalisation (Ba, Kiros and Hinton, 2016) over the last axis: made of operations that exist, so it has neither
// a kernel nor a backward function of its own.
#pragma once

#include "core/pointwise.h"
#include "core/reduce.h"
#include "nn/module.h"

namespace mixgrad::nn {

// y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias, for each row of `features` elements, with the biased
// variance. Throws unless the last axis has `features` entries.
class LayerNorm : public Module {
 public:
  explicit LayerNorm(std::int64_t features, double eps = 1e-5)
      : weight(parameter(Tensor::ones({features}))), bias(parameter(Tensor::zeros({features}))), eps_(eps) {
    check(features > 0, "LayerNorm: needs a positive number of features, got ", features);
  }

  Tensor forward(const Tensor& x) override {
    check(x.rank() >= 1 && x.size(-1) == weight.numel(), "LayerNorm: input ", x.shape(), " must end in ",
          weight.numel());
    const Tensor centred = x - mean(x, -1, {.keepdim = true});
    const Tensor variance = mean(centred * centred, -1, {.keepdim = true});
    return centred / sqrt(variance + eps_) * weight + bias;
  }
  void visit(Visitor& visitor) override {
    visitor.parameter("weight", weight);
    visitor.parameter("bias", bias);
  }
  std::string name() const override { return "LayerNorm(" + std::to_string(weight.numel()) + ")"; }

  Tensor weight, bias;  // [features], one and zero at first

 private:
  double eps_;
};

}  // namespace mixgrad::nn
