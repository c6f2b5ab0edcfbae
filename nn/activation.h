// Activation functions as layers.
#pragma once

#include "core/pointwise.h"
#include "nn/module.h"

namespace mixgrad::nn {

// max(x, 0), any shape.
class ReLU : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return relu(x); }
  std::string name() const override { return "ReLU"; }
};

}  // namespace mixgrad::nn
