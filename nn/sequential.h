// Modules made of modules: one after the other, or beside a connection that passes them by.
#pragma once

#include <concepts>
#include <memory>
#include <vector>

#include "core/elementwise.h"
#include "core/pointwise.h"
#include "nn/pool.h"

namespace mixgrad::nn {

// Sequential model(Conv2d(3, 16), ReLU(), GlobalAvgPool()); children are named "0", "1", ... Sequential(other) is
// another handle to the other's layers; to make it a layer of its own, add() it.
//
// It looks ahead. In front of a ReLU, a layer that has forward_relu beside its forward computes both in one pass by
// that; one that has forward_activated, in front of a ReLU, SiLU or GELU. In front of a pooling, with or without a ReLU
// between, one that has forward_before computes by that what the pooling reads alone: a pooling of 2 drops the last of
// 31 rows and columns. An observer is told the shape that is computed. A class, a pooling too, that changes forward
// alone is called by that; and nothing is computed past a layer that has an InputHook.
class Sequential : public Module {
 public:
  Sequential() = default;
  template <std::derived_from<Module>... Layers>
  explicit Sequential(Layers... layers) {
    (add(std::move(layers)), ...);
  }

  template <std::derived_from<Module> Layer>
  Sequential& add(Layer layer) {
    const auto module = std::make_shared<Layer>(std::move(layer));
    Entry entry{.module = module};
    if constexpr (std::same_as<Layer, ReLU>) entry.activation = functions::Relu{};
    if constexpr (std::same_as<Layer, SiLU>) entry.activation = functions::Silu{};
    if constexpr (std::same_as<Layer, GELU>) entry.activation = functions::Gelu{};
    if constexpr (std::derived_from<Layer, Pool2d>)
      if constexpr (declared_together(&Layer::forward, &Function::forward)) entry.pool = module.get();
    if constexpr (requires { requires declared_together(&Layer::forward, &Layer::forward_relu); })
      entry.forward_relu = [](Module& self, const Tensor& x) { return static_cast<Layer&>(self).forward_relu(x); };
    if constexpr (requires { requires declared_together(&Layer::forward, &Layer::forward_activated); })
      entry.forward_activated = [](Module& self, const functions::Activation& activation, const Tensor& x) {
        return static_cast<Layer&>(self).forward_activated(x, activation);
      };
    if constexpr (requires { requires declared_together(&Layer::forward, &Layer::forward_before); })
      entry.forward_before = [](Module& self, const Pool2d& pool, bool relu, const Tensor& x) {
        return static_cast<Layer&>(self).forward_before(pool, relu, x);
      };
    layers_.push_back(std::move(entry));
    return *this;
  }

  Tensor forward(const Tensor& input) override {
    Tensor x = input;
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      const Entry &layer = layers_[i], &next = entry(i + 1);
      const bool is_active = next.activation.index() != 0;
      const bool is_relu = std::holds_alternative<functions::Relu>(next.activation);
      const Pool2d* const pool = layer.forward_before ? (is_relu ? entry(i + 2) : next).pool : nullptr;
      const bool both = pool || layer.forward_relu ? is_relu : is_active && layer.forward_activated;
      if ((!pool && !both) || has_hook(i) || has_hook(i + 1) || (pool && has_hook(i + 2))) {
        x = (*layer.module)(x);
        continue;
      }
      x = call_as(*layer.module, both ? next.module.get() : nullptr, x, [&] {
        if (pool) return layer.forward_before(*layer.module, *pool, both, x);
        if (layer.forward_relu) return layer.forward_relu(*layer.module, x);
        return layer.forward_activated(*layer.module, next.activation, x);
      });
      i += both;
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
    std::shared_ptr<Module> module = {};
    functions::Activation activation = {};                            // that it computes, if it is one of these
    const Pool2d* pool = nullptr;                                     // itself, if it is one
    Tensor (*forward_relu)(Module& self, const Tensor& x) = nullptr;  // relu(forward(x)) in one pass
    Tensor (*forward_activated)(Module& self, const functions::Activation& activation, const Tensor& x) = nullptr;
    Tensor (*forward_before)(Module& self, const Pool2d& pool, bool relu, const Tensor& x) = nullptr;
  };
  // Whether two members are those of the same class.
  template <class A, class B, class F, class G>
  static constexpr bool declared_together(F A::*, G B::*) {
    return std::same_as<A, B>;
  }
  bool has_hook(std::size_t i) const { return i < layers_.size() && layers_[i].module->has_input_hook(); }
  const Entry& entry(std::size_t i) const {
    static const Entry none;
    return i < layers_.size() ? layers_[i] : none;
  }
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
