// Mistakes in the loss of mixed targets. Each test states a law: mixgrad obeys it, the code in `wrong` breaks it.
#include <doctest/doctest.h>

#include <cmath>

#include "mixgrad.h"

namespace mixgrad::mixup_bugs::losses {
namespace {

using namespace augment;

bool nearly(double a, double b) { return std::abs(a - b) < 1e-5; }  // some roundings in f32 of numbers up to 10

// Four samples of three classes, and a plan for them.
const MixPlan& plan() {
  static const MixPlan four{{0.9f, 0.5f, 1.0f, 0.7f}, {1, 2, 3, 0}};
  return four;
}
Tensor logits() { return Tensor::from<float>({1, 0, -1, 0.5, 2, 0, -2, 1, 1, 0, 0, 3}, {4, 3}); }
Tensor labels() { return Tensor::from<std::int32_t>({0, 1, 2, 1}, {4}); }
Tensor class_weights() { return Tensor::from<float>({1, 2, 4}, {3}); }
constexpr std::int32_t ignored = -100;

namespace wrong {

// wrong: both losses and lambda are reduced to means, and only then mixed
Tensor reduced_first(const Tensor& output, const MixedTarget& target) {
  const Tensor lambda = mean(target.lambda);
  return lambda * nn::cross_entropy(output, target.y) + (1.0 - lambda) * nn::cross_entropy(output, target.partner);
}

// wrong: nobody asked for smoothing
nn::Loss default_loss() { return nn::cross_entropy_with({.label_smoothing = 0.1}); }

// wrong: a squared error is not linear in its target, so that this is not the loss of the mixed target
Tensor mixture_of_squares(const Tensor& output, const Tensor& y) {
  return MixUpLoss(nn::mse)(output, mixed_target(y, plan()));
}

// wrong: takes the likelier class of a soft target for all of it
Tensor of_likelier_class(const Tensor& output, const Tensor& target) {
  return nn::cross_entropy(output, argmax(target, 1));
}

// wrong: a yes or no for each class, where the target is one distribution over all
Tensor of_each_class(const Tensor& output, const Tensor& target) { return nn::bce_with_logits(output, target); }

// wrong: the mean of class indices is over the sum of their weights, that of soft targets over the number of samples
Tensor divided_by_weights(const Tensor& output, const Tensor& target) {
  const Tensor weights = class_weights();
  const auto sum_of = nn::cross_entropy_with({.class_weights = weights, .reduction = nn::Reduction::sum});
  const Tensor total = sum_of(output, target);
  return target.dtype() == DType::i32 ? total / sum(gather(weights, target)) : total / double(output.size(0));
}

// wrong: a sample with an ignored label loses the other label as well
Tensor pair_dropped(const Tensor& output, const MixedTarget& target) {
  const auto counts = [](const Tensor& y) {
    return not_equal(y, Tensor::full({}, ignored, y.options())).to(DType::f32);
  };
  const MixUpLoss loss(nn::cross_entropy_with({.ignore_index = ignored}));
  return mean(counts(target.y) * counts(target.partner) * loss.each_sample(output, target));
}

}  // namespace wrong
}  // namespace

TEST_CASE("mixup bug 1: the loss is reduced before it is mixed") {
  const MixedTarget target = mixed_target(labels(), plan());
  // Law: a batch's loss is the mean of those of its samples, each in a batch of its own.
  const auto law = [&](const auto& loss) {
    double sum = 0;
    for (std::int64_t n = 0; n < 4; ++n) {
      const auto alone = [n](const Tensor& of_all) { return slice(of_all, n, n + 1); };
      const MixedTarget own{alone(target.y), alone(target.partner), alone(target.lambda)};
      sum += loss(alone(logits()), own).item();
    }
    return nearly(loss(logits(), target).item(), sum / 4);
  };
  CHECK(law(MixUpLoss(nn::cross_entropy)));
  CHECK_FALSE(law(wrong::reduced_first));
  // The document's table was made with it, so mixgrad has it under a name of its own.
  const MixUpLoss as_in_table(nn::cross_entropy, LossWeight::batch_mean);
  CHECK(nearly(as_in_table(logits(), target).item(), wrong::reduced_first(logits(), target).item()));
}

TEST_CASE("mixup bug 10: labels are smoothed unasked") {
  // Law: an answer that is sure and right costs nothing.
  const auto law = [](const nn::Loss& loss) {
    const Tensor sure = Tensor::from<float>({100, 0, 0}, {1, 3}), right = Tensor::from<std::int32_t>({0}, {1});
    return MixUpLoss(loss)(sure, MixedTarget{right, right, Tensor::ones({1})}).item() == 0;
  };
  CHECK(law(train::LearnerOptions().loss));
  CHECK_FALSE(law(wrong::default_loss()));
}

TEST_CASE("mixup bug 11: a loss that is not linear in its target is interpolated") {
  // Law: mixtures of points of the line y = 3x are on it as well, and whoever predicts 3x has no loss.
  const auto law = [](const auto& loss) {
    const Tensor x = Tensor::from<float>({-1, 0.25, 0.5, 2}, {4, 1});
    return nearly(loss(3.0 * mix(x, plan()), 3.0 * x).item(), 0);
  };
  const auto loss_of_mixture = [](const Tensor& output, const Tensor& y) { return nn::mse(output, mix(y, plan())); };
  CHECK(law(loss_of_mixture));
  CHECK_FALSE(law(wrong::mixture_of_squares));
}

TEST_CASE("mixup bug 12: another loss is chosen for soft targets") {
  // Law: the gradient is 0 where the predicted distribution, softmax of the logits, is the target.
  const auto law = [](const auto& loss) {
    const Tensor dog_and_cat = one_hot(Tensor::from<std::int32_t>({0, 1}, {2}), 2);
    const Tensor target = mix(dog_and_cat, {{0.7f, 0.6f}, {1, 0}});
    const Tensor output = log(target).requires_grad_();
    loss(output, target).backward();
    return nearly(max(abs(output.grad())).item(), 0);
  };
  CHECK(law(nn::cross_entropy));
  CHECK_FALSE(law(wrong::of_likelier_class));
  CHECK_FALSE(law(wrong::of_each_class));
}

TEST_CASE("mixup bug 14: class weights and ignored labels are left to chance") {
  // Law: with class weights, too, the loss of a soft target is the mixture of the losses of both labels.
  const auto is_linear = [](const auto& loss) {
    const MixPlan even{{0.75f, 0.75f, 0.75f, 0.75f}, {3, 2, 1, 0}};
    const MixedTarget both = mixed_target(labels(), even);
    const double own = loss(logits(), both.y).item(), partner = loss(logits(), both.partner).item();
    return nearly(loss(logits(), mix(one_hot(labels(), 3), even)).item(), 0.75 * own + 0.25 * partner);
  };
  CHECK(is_linear(nn::cross_entropy_with({.class_weights = class_weights()})));
  CHECK_FALSE(is_linear(wrong::divided_by_weights));

  // Law: where the partner's label is ignored, the sample's own keeps its weight.
  const nn::Loss ignoring = nn::cross_entropy_with({.ignore_index = ignored});
  const auto keeps_own = [&](const auto& loss) {
    const Tensor nobody = Tensor::full({4}, ignored, {.dtype = DType::i32});
    const MixedTarget target{labels(), nobody, Tensor::full({4}, 0.75)};
    return nearly(loss(logits(), target).item(), 0.75 * ignoring(logits(), labels()).item());
  };
  CHECK(keeps_own(MixUpLoss(ignoring)));
  CHECK_FALSE(keeps_own(wrong::pair_dropped));
}

}  // namespace mixgrad::mixup_bugs::losses
