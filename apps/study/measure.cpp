#include <algorithm>
#include <numeric>

#include "apps/study/study.h"

namespace mixgrad::apps {
namespace {

constexpr std::int64_t most_pairs = 1000;

std::string point(const char* curve, double x) { return text_of(curve, "@", x); }

// One step against the model (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", 2014):
// x + size sign(d loss / d x), kept in 0..1.
Tensor fgsm(nn::Module& model, const Tensor& x, const Tensor& y, double size) {
  const Tensor leaf = x.clone().requires_grad_();
  nn::cross_entropy(model(leaf), y).backward();
  const NoGrad off;
  const Tensor gradient = leaf.grad(), zero = Tensor::zeros({});
  const Tensor sign = less(zero, gradient).to(DType::f32) - less(gradient, zero).to(DType::f32);
  return clamp(x + size * sign, 0, 1);
}

void measure_attack(train::Learner& learn, const data::DataLoader& valid, Measures& measures) {
  double right = 0, samples = 0;
  for (const data::Batch& batch : valid.epoch(0)) {
    const Tensor attacked = fgsm(*learn.model, batch.x, batch.y, 0.1);
    right += train::accuracy_of(learn.predict(attacked), batch.y).item() * static_cast<double>(batch.size());
    samples += static_cast<double>(batch.size());
  }
  measures["fgsm_accuracy"] = right / samples;
}

void measure_predictions(train::Learner& learn, const data::DataLoader& valid, Measures& measures) {
  const train::Predictions all = train::predict(*learn.model, valid, {});
  const Tensor p = softmax(all.output);
  measures["valid_loss"] = train::nll_of(all.output, all.target).item();
  measures["entropy"] = -mean(sum(weighted(p, log_softmax(all.output)), 1)).item();
  measures["brier"] = train::brier_of(all.output, all.target).item();
  const train::Calibration in_15 = train::calibration(all.output, all.target);
  measures["accuracy"] = in_15.accuracy;
  measures["confidence"] = in_15.confidence;
  measures["calibration_error"] = in_15.error;
}

// Of each tenth of the range of confidences: its share of the images, their mean confidence, and their accuracy.
void measure_bins(train::Learner& learn, const data::DataLoader& valid, Measures& measures) {
  const train::Predictions all = train::predict(*learn.model, valid, {});
  const std::vector<train::CalibrationBin> bins = train::calibration(all.output, all.target, 10).bins;
  for (std::size_t i = 0; i < bins.size(); ++i) {
    const double middle = (static_cast<double>(i) + 0.5) / static_cast<double>(bins.size());
    measures[point("histogram", middle)] =
        static_cast<double>(bins[i].samples) / static_cast<double>(all.target.numel());
    measures[point("bin_confidence", middle)] = bins[i].confidence;
    measures[point("bin_accuracy", middle)] = bins[i].accuracy;
  }
}

// How the model behaves between two training samples of different classes, as in figure 2 of mixup's paper: the
// probability of the first one's class; the share of misses, predictions of neither class; the norm of the loss's
// gradient by the input. Nonlinearity is the mean distance, half the sum of the absolute differences, between the
// prediction for a mixture and the mixture of the two predictions.
void measure_between(train::Learner& learn, Measures& measures) {
  nn::Module& model = *learn.model;
  const data::Dataset& samples = learn.data.train.dataset();  // in random order already
  std::vector<std::int32_t> chosen(static_cast<std::size_t>(std::min(samples.size(), most_pairs + 1)));
  std::iota(chosen.begin(), chosen.end(), 0);
  const data::Batch batch = samples.get(chosen);
  const auto y = batch.y.to_vector<std::int32_t>();
  std::vector<std::int32_t> first, second;
  for (std::size_t i = 0; i + 1 < y.size(); ++i)
    if (y[i] != y[i + 1]) {
      first.push_back(chosen[i]);
      second.push_back(chosen[i + 1]);
    }
  const std::int64_t pairs = std::ssize(first);
  const auto rows = [&](const Tensor& of, const std::vector<std::int32_t>& which) {
    return gather(of, Tensor::from(which, {pairs}));
  };
  const Tensor a = rows(batch.x, first), b = rows(batch.x, second);
  const Tensor y_a = rows(batch.y, first), y_b = rows(batch.y, second);
  const Tensor p_a = softmax(learn.predict(a)), p_b = softmax(learn.predict(b));
  const auto classes_a = y_a.to_vector<std::int32_t>(), classes_b = y_b.to_vector<std::int32_t>();
  augment::MixPlan plan{.lambda = std::vector<float>(first.size()), .permutation = first};
  std::iota(plan.permutation.begin(), plan.permutation.end(), 0);
  double nonlinearity = 0;
  constexpr int steps = 10;
  for (int step = 0; step <= steps; ++step) {
    const double lambda = static_cast<double>(step) / steps;
    std::ranges::fill(plan.lambda, static_cast<float>(lambda));
    const Tensor x = augment::mix(a, b, plan).requires_grad_();
    const Tensor output = model(x);
    const augment::MixedTarget target{y_a, y_b, Tensor::from(plan.lambda, {pairs})};
    sum(augment::MixUpLoss(nn::cross_entropy).each_sample(output, target)).backward();
    const NoGrad off;
    const Tensor p = softmax(output), gradient = reshape(x.grad(), {pairs, -1});
    const auto predicted = argmax(output, 1).to_vector<std::int32_t>();
    double misses = 0;
    for (std::size_t i = 0; i < predicted.size(); ++i)
      misses += predicted[i] != classes_a[i] && predicted[i] != classes_b[i] ? 1.0 : 0.0;
    measures[point("misses", lambda)] = misses / static_cast<double>(pairs);
    measures[point("between", lambda)] = mean(sum(p * one_hot(y_a, p.size(1)), 1)).item();
    measures[point("gradient", lambda)] = mean(sqrt(sum(gradient * gradient, 1))).item();
    nonlinearity += mean(sum(abs(p - (lambda * p_a + (1 - lambda) * p_b)), 1)).item() / 2 / (steps + 1);
  }
  measures["nonlinearity"] = nonlinearity;
  measures["misses_half"] = measures.at(point("misses", 0.5));
  measures["gradient_half"] = measures.at(point("gradient", 0.5));
}

}  // namespace

void measure(const Experiment& experiment, train::Learner& learn, const data::DataLoader& valid, Measures& measures) {
  const nn::EvalMode eval(*learn.model);
  measure_predictions(learn, valid, measures);
  if (experiment.wants("histogram")) measure_bins(learn, valid, measures);
  if (experiment.wants("fgsm_accuracy")) measure_attack(learn, valid, measures);
  if (experiment.wants("nonlinearity")) measure_between(learn, measures);
}

}  // namespace mixgrad::apps
