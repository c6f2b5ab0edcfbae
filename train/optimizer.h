// Optimizers. An optimizer lays the parameters it is given, and their gradients, into one block of memory each, so
// that zero_grad is one fill and a step is one pass over flat arrays, whatever the model.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::train {

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update from the gradients accumulated since zero_grad. Throws when another optimizer has been made for the
  // same parameters since: they have moved to its memory.
  void step();
  void zero_grad();

  double lr = 1e-3;  // the learning rate of the next step

 protected:
  // Takes over leaf tensors of one dtype and device; throws on none, or on tensors that require no gradient.
  explicit Optimizer(std::vector<Tensor> parameters, double lr);
  virtual void update(const Tensor& values, const Tensor& gradients) = 0;
  Tensor zeros_like_parameters() const;  // for an optimizer's own state

 private:
  std::vector<Tensor> parameters_;
  Tensor values_, gradients_;  // flat; each parameter starts at a multiple of 64 bytes, the gaps stay zero
};

// Makes an optimizer for a model's parameters: what a Learner is given, as in {.optimizer = sgd({.momentum = 0.9})}.
using OptimizerFactory = std::function<std::unique_ptr<Optimizer>(std::vector<Tensor> parameters)>;

}  // namespace mixgrad::train
