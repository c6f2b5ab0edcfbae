// Logits of -infinity, and what else a weight of 0 makes count for nothing: every form of the losses, on both devices.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "augment/mixup_loss.h"
#include "core/index.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/unary.h"
#include "nn/cross_entropy.h"
#include "nn/loss.h"

using namespace mixgrad;
using namespace mixgrad::nn;

namespace {

// A masked class, by indices, as a distribution, and as both halves of a mixture.
void check_masked(Device device) {
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor values = Tensor::from({2.0f, -1.0f, -infinity, 0.5f, 0.1f, -infinity}, {2, 3});
  const Tensor y = Tensor::from({0, 1}, {2}).to(device), dense = one_hot(y, 3, DType::f32);
  const Tensor two_masked = Tensor::from({1.0f, 1.0f, 0.0f}, {3});
  for (const CrossEntropyOptions& options :
       {CrossEntropyOptions{}, {.class_weights = two_masked}, {0.1, two_masked}, {.label_smoothing = 0.1}}) {
    const Loss loss = cross_entropy_with(options), apart{loss.name, PerSample::Function(loss.per_sample)};
    const bool masked = options.label_smoothing > 0 && !options.class_weights.defined();
    CAPTURE(loss.name);
    const auto value_and_gradients = [&](const Loss& loss, const augment::Target& target) {
      const Tensor logits = values.clone().to(device).requires_grad_();
      const Tensor value = augment::MixUpLoss(loss)(logits, target);
      value.backward();
      std::vector<double> all{value.item()};
      for (const float g : logits.grad().to(cpu).to_vector<float>()) all.push_back(static_cast<double>(g));
      return all;
    };
    const std::vector<double> expected = value_and_gradients(loss, y);
    if (masked) CHECK(expected[0] == std::numeric_limits<double>::infinity());
    else CHECK(std::isfinite(expected[0]));
    if (options.label_smoothing == 0) CHECK(expected[0] == doctest::Approx(0.480801).epsilon(1e-6));
    for (std::size_t i = 1; i < expected.size(); ++i) CHECK(std::isfinite(expected[i]));
    const Tensor other = Tensor::from({2, 2}, {2}).to(device);  // the masked class, with the weight 0
    const Tensor one = Tensor::ones({2}, {.device = device}), zero = Tensor::zeros({2}, {.device = device});
    for (const Loss& each : {loss, apart})
      for (const augment::Target& target :
           {augment::Target(dense), augment::Target(augment::MixedTarget{y, other, one}),
            augment::Target(augment::MixedTarget{other, y, zero}),
            augment::Target(augment::MixedTarget{dense, one_hot(other, 3, DType::f32), one}),
            augment::Target(augment::MixedTarget{one_hot(other, 3, DType::f32), dense, zero})}) {
        const std::vector<double> result = value_and_gradients(each, target);
        for (std::size_t i = 0; i < result.size(); ++i)
          CHECK((result[i] == expected[i] || std::abs(result[i] - expected[i]) < 1e-6));
      }
  }
}

}  // namespace

TEST_CASE("cross_entropy: a masked class counts for nothing where its weight is 0, in every form of the target") {
  check_masked(cpu);
#ifdef MIXGRAD_WITH_CUDA
  check_masked(cuda);
#endif
}

TEST_CASE("weighted: what has the weight 0 has no share in the gradient either, be it infinite") {
  const Tensor x = Tensor::from({5.0f, 4.0f}, {2}).requires_grad_(), weight = Tensor::from({0.0f, 1.0f}, {2});
  sum(sqrt(weighted(weight, x))).backward();  // 1 / (2 sqrt 0) is infinite
  CHECK(x.grad().to_vector<float>() == std::vector{0.0f, 0.25f});
}

TEST_CASE("cross_entropy: the gradient in a dense target is -log p, and 0 for a masked class that it does not want") {
  const Tensor logits = Tensor::from({1.0f, 1.0f, -std::numeric_limits<float>::infinity()}, {1, 3});
  const Tensor target = Tensor::from({1.0f, 0.0f, 0.0f}, {1, 3}).requires_grad_();
  cross_entropy(logits, target).backward();
  const std::vector<float> gradient = target.grad().to_vector<float>();
  CHECK(gradient[0] == doctest::Approx(std::log(2)));
  CHECK(gradient[1] == doctest::Approx(std::log(2)));
  CHECK(gradient[2] == 0);
}

TEST_CASE("bce_with_logits: a logit of +-inf that is right costs nothing, one that is wrong costs infinitely much") {
  const float infinity = std::numeric_limits<float>::infinity();
  const Tensor logits = Tensor::from({infinity, -infinity, 0.0f}, {3, 1}).requires_grad_();
  const Tensor target = Tensor::from({1.0f, 0.0f, 1.0f}, {3, 1});
  const Tensor loss = bce_with_logits(logits, target);
  loss.backward();
  CHECK(loss.item() == doctest::Approx(std::log(2) / 3));
  CHECK(logits.grad().to_vector<float>() == std::vector<float>{0, 0, -0.5f / 3});
  CHECK(bce_with_logits(logits, 1 - target).item() == std::numeric_limits<double>::infinity());
}

TEST_CASE("bce_with_logits: the gradient in the target is minus the logit, but of an infinite term that is skipped") {
  constexpr float infinity = std::numeric_limits<float>::infinity();
  const Tensor logits = Tensor::from({infinity, infinity, -infinity, -infinity, 2.5f, -30.0f, std::nanf("")}, {7, 1});
  const Tensor target = Tensor::from({1.0f, 0.5f, 0.0f, 0.5f, 0.0f, 1.0f, 0.0f}, {7, 1});
  logits.requires_grad_();
  target.requires_grad_();
  sum(bce_with_logits_per_sample(logits, target)).backward();
  const auto in_target = target.grad().to_vector<float>(), in_logits = logits.grad().to_vector<float>();
  CHECK(std::vector(in_target.begin(), in_target.end() - 1) ==
        std::vector<float>{0, -infinity, 0, infinity, -2.5f, 30});
  CHECK(std::vector(in_logits.begin(), in_logits.begin() + 4) == std::vector<float>{0, 0.5f, 0, -0.5f});
  CHECK(std::isnan(in_target.back()));
  CHECK(std::isnan(in_logits.back()));
}
