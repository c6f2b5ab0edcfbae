// Layer normalisation (Ba, Kiros and Hinton, 2016) over the last axis.
#pragma once

#include "nn/module.h"

namespace mixgrad::nn {

// y = (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias, for each row of x [..., features], with the biased
// variance; weight and bias are [features]. Throws on other shapes.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);

class LayerNorm : public Module {
 public:
  explicit LayerNorm(std::int64_t features, double eps = 1e-5);
  Tensor forward(const Tensor& x) override { return layer_norm(x, weight, bias, eps_); }
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
