#include "train/mixed_accuracy.h"

#include "core/reduce.h"

namespace mixgrad::train {

double mixed_accuracy_of(const Tensor& output, const augment::Target& target) {
  if (const Tensor* plain = std::get_if<Tensor>(&target)) return accuracy_of(output, *plain);
  const auto& mixed = std::get<augment::MixedTarget>(target);
  const auto y = target_classes("mixed_accuracy", output, mixed.y);
  const auto partner = target_classes("mixed_accuracy", output, mixed.partner);
  check(mixed.lambda.shape() == Shape{output.size(0)}, "mixed_accuracy: output ", output.shape(), " with lambda ",
        mixed.lambda.shape());
  const auto lambda = mixed.lambda.to_vector<float>();
  const auto predicted = argmax(output, 1).to_vector<std::int32_t>();
  double total = 0;
  for (std::size_t i = 0; i < y.size(); ++i)
    total += lambda[i] * (predicted[i] == y[i]) + (1 - lambda[i]) * (predicted[i] == partner[i]);
  return y.empty() ? 0 : total / static_cast<double>(y.size());
}

}  // namespace mixgrad::train
