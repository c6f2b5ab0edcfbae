// Flatten as a layer.
#pragma once

#include "core/view.h"
#include "nn/module.h"

namespace mixgrad::nn {

// [N, ...] -> [N, product of the rest]; a view.
class Flatten : public Module {
 public:
  using Module::forward;
  Tensor forward(const Tensor& x) override { return flatten(x); }
  std::string name() const override { return "Flatten"; }
};

}  // namespace mixgrad::nn
