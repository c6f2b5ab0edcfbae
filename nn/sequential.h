// Sequential: modules one after the other.
#pragma once

#include <concepts>
#include <memory>
#include <vector>

#include "nn/function.h"

namespace mixgrad::nn {

// Sequential model(Conv2d(3, 16), ReLU(), GlobalAvgPool()); children are named "0", "1", ... Sequential(other) is
// another handle to the other's layers; to make it a layer of its own, add() it. A layer in front of a ReLU is called
// by Module::forward_relu, so that it may compute both in one pass.
class Sequential : public Module {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers>
  explicit Sequential(Layers... layers) {
    (add(std::move(layers)), ...);
  }

  template <std::derived_from<Module> Layer>
  Sequential& add(Layer layer) {
    layers_.push_back({std::make_shared<Layer>(std::move(layer)), std::same_as<Layer, ReLU>});
    return *this;
  }

  using Module::forward;
  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      Module& layer = *layers_[i].module;
      const bool relu_follows = i + 1 < layers_.size() && layers_[i + 1].is_relu;
      x = relu_follows ? call_with_relu(layer, *layers_[++i].module, x) : layer(x);
    }
    return x;
  }
  void visit(Visitor& visitor) override {
    for (std::size_t i = 0; i < layers_.size(); ++i) visitor.child(std::to_string(i), *layers_[i].module);
  }
  std::string name() const override { return "Sequential"; }

  std::size_t size() const { return layers_.size(); }
  Module& operator[](std::size_t i) const { return *layers_.at(i).module; }

 private:
  struct Entry {
    std::shared_ptr<Module> module;
    bool is_relu;
  };
  std::vector<Entry> layers_;
};

}  // namespace mixgrad::nn
