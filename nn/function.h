// Layers without parameters that apply one function to their input: activations of any shape (core/unary.h), Flatten.
#pragma once

#include <functional>

#include "core/unary.h"
#include "core/view.h"
#include "nn/module.h"

namespace mixgrad::nn {

// A function as a layer, under the name that print() shows: Function("Square", [](const Tensor& x) { return x * x; }).
class Function : public Module {
 public:
  Function(std::string name, std::function<Tensor(const Tensor&)> function)
      : name_(std::move(name)), function_(std::move(function)) {}
  Tensor forward(const Tensor& x) override { return function_(x); }
  std::string name() const override { return name_; }

 private:
  std::string name_;
  std::function<Tensor(const Tensor&)> function_;
};

struct ReLU : Function {
  ReLU() : Function("ReLU", relu) {}
};

struct LeakyReLU : Function {
  explicit LeakyReLU(double slope = 0.01)
      : Function("LeakyReLU", [slope](const Tensor& x) { return leaky_relu(x, slope); }) {}
};

struct GELU : Function {
  GELU() : Function("GELU", gelu) {}
};

struct SiLU : Function {
  SiLU() : Function("SiLU", silu) {}
};

struct Tanh : Function {
  Tanh() : Function("Tanh", tanh) {}
};

struct Sigmoid : Function {
  Sigmoid() : Function("Sigmoid", sigmoid) {}
};

// [N, ...] -> [N, product of the rest]; a view.
struct Flatten : Function {
  Flatten() : Function("Flatten", flatten) {}
};

}  // namespace mixgrad::nn
