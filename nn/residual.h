// Residual connections (He et al., "Deep residual learning for image recognition", 2015).
#pragma once

#include "core/pointwise.h"
#include "nn/sequential.h"

namespace mixgrad::nn {

// y = body(x) + shortcut(x); an empty shortcut is x itself. Throws where the two shapes do not agree.
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
