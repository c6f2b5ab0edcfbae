#include "nn/sequential.h"

namespace mixgrad::nn {

Tensor Sequential::forward(const Tensor& input) {
  Tensor x = input;
  for (const auto& layer : layers_) x = (*layer)(x);
  return x;
}

void Sequential::visit(Visitor& visitor) {
  for (std::size_t i = 0; i < layers_.size(); ++i) visitor.child(std::to_string(i), *layers_[i]);
}

}  // namespace mixgrad::nn
