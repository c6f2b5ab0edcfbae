// Snapshot: what a step changes of a Learner, kept on the device: weights, buffers, the optimizer's state, its steps
// (private).
#pragma once

#include <utility>
#include <vector>

#include "nn/weights.h"
#include "train/learner.h"

namespace mixgrad::train {

class Snapshot {
 public:
  explicit Snapshot(Learner& learner) : optimizer_(learner.optimizer.get()) {
    for (const auto& [name, tensor] : nn::named_weights(*learner.model)) keep(tensor);
    for (const auto& [name, tensor] : optimizer_->state()) keep(tensor);
    keep(optimizer_->gradients());
    take();
  }
  void take() {
    for (const auto& [tensor, copy] : copies_) copy.copy_(tensor);
    steps_ = optimizer_->steps;
  }
  void restore() const {
    for (const auto& [tensor, copy] : copies_) tensor.copy_(copy);
    optimizer_->steps = steps_;
  }

 private:
  void keep(const Tensor& tensor) {
    const Tensor data = tensor.detach();
    copies_.emplace_back(data, Tensor::empty(data.shape(), data.options()));
  }

  Optimizer* optimizer_;
  std::vector<std::pair<Tensor, Tensor>> copies_;  // of each tensor
  std::int64_t steps_ = 0;
};

}  // namespace mixgrad::train
