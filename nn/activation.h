// Activation functions as layers; any shape. The functions themselves are in core/unary.h.
#pragma once

#include "core/unary.h"
#include "nn/module.h"

namespace mixgrad::nn {

class ReLU : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return relu(x); }
  std::string name() const override { return "ReLU"; }
};

class LeakyReLU : public Module {
 public:
  explicit LeakyReLU(double slope = 0.01) : slope_(slope) {}
  using Module::forward;
  Tensor forward(const Tensor& x) override { return leaky_relu(x, slope_); }
  std::string name() const override { return "LeakyReLU"; }

 private:
  double slope_;
};

class GELU : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return gelu(x); }
  std::string name() const override { return "GELU"; }
};

class SiLU : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return silu(x); }
  std::string name() const override { return "SiLU"; }
};

class Tanh : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return tanh(x); }
  std::string name() const override { return "Tanh"; }
};

class Sigmoid : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return sigmoid(x); }
  std::string name() const override { return "Sigmoid"; }
};

}  // namespace mixgrad::nn
