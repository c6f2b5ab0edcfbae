#include "train/metrics.h"

#include "core/index.h"
#include "core/pointwise.h"
#include "core/reduce.h"

namespace mixgrad::train {
namespace {

// How many of the outputs are ahead of that of class `c`.
std::int64_t rank_of(std::int32_t c, const float* outputs, std::int64_t classes) {
  std::int64_t ahead = 0;
  for (std::int32_t other = 0; other < classes; ++other) {
    const bool behind = outputs[other] < outputs[c] || (outputs[other] == outputs[c] && other > c) ||
                        (outputs[other] != outputs[other] && outputs[c] == outputs[c]);
    ahead += other != c && !behind;
  }
  return ahead;
}

}  // namespace

std::vector<std::int32_t> target_classes(const char* what, const Tensor& output, const Tensor& target) {
  check(output.rank() == 2, what, ": output ", output.shape(), " must be [N, C]");
  const Tensor classes = target.shape() == output.shape() ? argmax(target, 1) : target;
  check(classes.dtype() == DType::i32 && classes.shape() == Shape{output.size(0)}, what, ": output ", output.shape(),
        " with target ", name_of(target.dtype()), target.shape());
  const auto all = classes.to_vector<std::int32_t>();
  for (const std::int32_t c : all)
    check(c >= 0 && c < output.size(1), what, ": class ", c, " with output ", output.shape());
  return all;
}

double accuracy_of(const Tensor& output, const Tensor& target) {
  const auto expected = target_classes("accuracy", output, target);
  const auto predicted = argmax(output, 1).to_vector<std::int32_t>();
  std::int64_t right = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) right += predicted[i] == expected[i];
  return expected.empty() ? 0 : static_cast<double>(right) / static_cast<double>(expected.size());
}

Metric top_k_accuracy(std::int64_t k) {
  check(k >= 1, "top_k_accuracy: k = ", k);
  const std::string name = "top_" + std::to_string(k) + "_accuracy";
  return {name, [k, name](const Tensor& output, const Tensor& target) {
            const auto expected = target_classes(name.c_str(), output, target);
            const std::int64_t classes = output.size(1);
            check(k <= classes, name, ": there are ", classes, " classes");
            const auto outputs = output.to(DType::f32).detach().to_vector<float>();
            std::int64_t right = 0;
            for (std::size_t i = 0; i < expected.size(); ++i)
              right += rank_of(expected[i], &outputs[i * static_cast<std::size_t>(classes)], classes) < k;
            return expected.empty() ? 0 : static_cast<double>(right) / static_cast<double>(expected.size());
          }};
}

double mixed_accuracy_of(const Tensor& device_output, const augment::Target& target) {
  const Tensor output = device_output.detach().to(cpu);
  if (const Tensor* plain = std::get_if<Tensor>(&target)) {
    if (output.rank() != 2 || plain->shape() != output.shape()) return accuracy_of(output, *plain);
    if (output.size(0) == 0) return 0;
    const Tensor chosen = one_hot(argmax(output, 1), output.size(1), DType::f64);
    return mean(sum(chosen * plain->detach().to(cpu).to(DType::f64), 1)).item();
  }
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

std::string class_name(const std::vector<std::string>& classes, std::int64_t index) {
  const auto i = static_cast<std::size_t>(index);
  return i < classes.size() ? printable(classes[i]) : std::to_string(index);
}

}  // namespace mixgrad::train
