// Modules made of modules: one after the other, or beside a connection that passes them by.
#pragma once

#include <concepts>
#include <memory>
#include <vector>

#include "core/pointwise.h"
#include "nn/function.h"

namespace mixgrad::nn {

// Sequential model(Conv2d(3, 16), ReLU(), GlobalAvgPool()); children are named "0", "1", ... Sequential(other) is
// another handle to the other's layers; to make it a layer of its own, add() it. In front of a ReLU, a layer that has
// forward_relu beside its forward computes both in one pass by that; a class that changes forward alone does not.
class Sequential : public Module {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers>
  explicit Sequential(Layers... layers) {
    (add(std::move(layers)), ...);
  }

  template <std::derived_from<Module> Layer>
  Sequential& add(Layer layer) {
    Entry entry{std::make_shared<Layer>(std::move(layer)), std::same_as<Layer, ReLU>};
    if constexpr (requires { requires std::same_as<decltype(&Layer::forward), decltype(&Layer::forward_relu)>; })
      entry.forward_relu = [](Module& self, const Tensor& x) { return static_cast<Layer&>(self).forward_relu(x); };
    layers_.push_back(std::move(entry));
    return *this;
  }

  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const auto& [layer, is_relu, forward_relu] = layers_[i];
      const bool in_one_pass = forward_relu && i + 1 < layers_.size() && layers_[i + 1].is_relu;
      x = in_one_pass ? call_with_relu(*layer, *layers_[++i].module, forward_relu, x) : (*layer)(x);
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
    Tensor (*forward_relu)(Module& self, const Tensor& x) = nullptr;  // relu(forward(x)) in one pass
  };
  std::vector<Entry> layers_;
};

// A residual connection (He et al., "Deep residual learning for image recognition", 2015): y = body(x) + shortcut(x);
// an empty shortcut is x itself. Throws where the two shapes do not agree.
class Residual : public Module {
 public:
  explicit Residual(Sequential body, Sequential shortcut = {})
      : body_(std::move(body)), shortcut_(std::move(shortcut)) {}

  Tensor forward(const Tensor& x) override {
    const Tensor change = body_(x), base = shortcut_.size() ? shortcut_(x) : x;
    check(change.shape() == base.shape(), "Residual: the body makes ", change.shape(), " of ", x.shape(),
          ", the shortcut ", base.shape());
    return change + base;
  }
  void visit(Visitor& visitor) override {
    visitor.child("body", body_);
    if (shortcut_.size()) visitor.child("shortcut", shortcut_);
  }
  std::string name() const override { return "Residual"; }

 private:
  Sequential body_, shortcut_;
};

}  // namespace mixgrad::nn
