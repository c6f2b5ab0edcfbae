#include "train/metrics.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/index.h"
#include "core/log_softmax.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "nn/cross_entropy.h"

namespace mixgrad::train {
namespace {

// How many of the outputs are ahead of that of class `c`: in the order of argmax, nan first and equals by class.
std::int64_t rank_of(std::int32_t c, const double* outputs, std::int64_t classes) {
  std::int64_t ahead = 0;
  for (std::int32_t other = 0; other < classes; ++other) {
    const double a = outputs[other], b = outputs[c];
    const bool equal = a == b || (std::isnan(a) && std::isnan(b));
    ahead += equal ? other < c : std::isnan(a) || a > b;
  }
  return ahead;
}

// i32 [N] on the output's device.
Tensor class_indices(const char* what, const Tensor& output, const Tensor& target) {
  check(output.rank() == 2, what, ": output ", output.shape(), " must be [N, C]");
  Tensor classes = target.shape() == output.shape() ? argmax(target, 1) : target;
  check(classes.dtype() == DType::i32 && classes.shape() == Shape{output.size(0)}, what, ": output ", output.shape(),
        " with target ", name_of(target.dtype()), target.shape());
  check_indices(what, classes, output.size(1));
  return classes;
}

// f32 [N]: 1 where the largest output is that of the class.
Tensor hits(const Tensor& output, const Tensor& classes) {
  return equal(argmax(output.detach(), 1), classes).to(DType::f32);
}

// [N]
Tensor entropy(const Tensor& target) {
  const Tensor each = weighted(target, log(target));
  return -(each.rank() == 1 ? each : sum(each, 1));
}

Tensor mean_or_zero(const Tensor& x) { return x.numel() == 0 ? Tensor::zeros({}, x.options()) : mean(x); }

}  // namespace

std::vector<std::int32_t> target_classes(const char* what, const Tensor& output, const Tensor& target) {
  return class_indices(what, output, target).to_vector<std::int32_t>();
}

Tensor accuracy_of(const Tensor& output, const Tensor& target) {
  const NoGrad off;
  return mean_or_zero(hits(output, class_indices("accuracy", output, target)));
}

Metric top_k_accuracy(std::int64_t k) {
  check(k >= 1, "top_k_accuracy: k = ", k);
  const std::string name = "top_" + std::to_string(k) + "_accuracy";
  return {name, [k, name](const Tensor& output, const Tensor& target) {
            const auto expected = target_classes(name.c_str(), output, target);
            const std::int64_t classes = output.size(1);
            check(k <= classes, name, ": there are ", classes, " classes");
            const auto outputs = output.detach().to(cpu).to(DType::f64).to_vector<double>();
            std::int64_t right = 0;
            for (std::size_t i = 0; i < expected.size(); ++i)
              right += rank_of(expected[i], &outputs[i * static_cast<std::size_t>(classes)], classes) < k;
            const auto count = static_cast<double>(std::max<std::size_t>(expected.size(), 1));
            return Tensor::full({}, static_cast<double>(right) / count);
          }};
}

Tensor mixed_accuracy_of(const Tensor& output, const augment::Target& target) {
  const NoGrad off;
  if (const Tensor* plain = std::get_if<Tensor>(&target)) {
    if (output.rank() != 2 || plain->shape() != output.shape()) return accuracy_of(output, *plain);
    const Tensor chosen = one_hot(argmax(output.detach(), 1), output.size(1), plain->dtype());
    return mean_or_zero(sum(chosen * plain->detach(), 1).to(DType::f32));
  }
  const auto& [y, partner, lambda] = std::get<augment::MixedTarget>(target);
  const Tensor own = class_indices("mixed_accuracy", output, y);
  const Tensor theirs = class_indices("mixed_accuracy", output, partner);
  check(lambda.shape() == Shape{output.size(0)}, "mixed_accuracy: output ", output.shape(), " with lambda ",
        lambda.shape());
  return mean_or_zero(lambda * hits(output, own) + (1.0 - lambda) * hits(output, theirs));
}

Tensor loss_floor_of(const Tensor& output, const augment::Target& target) {
  const NoGrad off;
  const auto of_dense = [&](const Tensor& t) {
    check(t.shape() == output.shape() && t.rank() == 2, "loss_floor: output ", output.shape(), " with target ",
          name_of(t.dtype()), t.shape());
    return mean_or_zero(entropy(t.detach()).to(DType::f32));
  };
  if (const Tensor* plain = std::get_if<Tensor>(&target)) {
    if (is_floating(plain->dtype())) return of_dense(*plain);
    class_indices("loss_floor", output, *plain);
    return Tensor::zeros({}, {.device = output.device()});
  }
  const auto& mixed = std::get<augment::MixedTarget>(target);
  if (is_floating(mixed.y.dtype())) return of_dense(augment::mix({mixed.y, mixed.partner, mixed.lambda}));
  const Tensor one =
      equal(class_indices("loss_floor", output, mixed.y), class_indices("loss_floor", output, mixed.partner))
          .to(DType::f32);
  check(mixed.lambda.shape() == one.shape(), "loss_floor: output ", output.shape(), " with lambda ",
        mixed.lambda.shape());
  return mean_or_zero((1.0 - one) * (entropy(mixed.lambda) + entropy(1.0 - mixed.lambda)));
}

Tensor nll_of(const Tensor& output, const Tensor& target) {
  const NoGrad off;
  return mean_or_zero(nn::cross_entropy_per_sample(output, class_indices("nll", output, target)).to(DType::f32));
}

Tensor brier_of(const Tensor& output, const Tensor& target) {
  const NoGrad off;
  const Tensor classes = class_indices("brier", output, target);
  const Tensor error = softmax(output) - one_hot(classes, output.size(1), output.dtype());
  return mean_or_zero(sum(error * error, 1).to(DType::f32));
}

Tensor confidence_of(const Tensor& output, const Tensor&) {
  const NoGrad off;
  check(output.rank() == 2, "confidence: output ", output.shape(), " must be [N, C]");
  return mean_or_zero(max(softmax(output), 1).to(DType::f32));
}

std::string class_name(const std::vector<std::string>& classes, std::int64_t index) {
  const auto i = static_cast<std::size_t>(index);
  return i < classes.size() ? printable(classes[i]) : std::to_string(index);
}

}  // namespace mixgrad::train
