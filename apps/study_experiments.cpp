#include <algorithm>

#include "apps/study.h"

namespace mixgrad::apps {
namespace {

using augment::LambdaPer, augment::LossWeight, train::Learner, train::MixSource;

StudyArm plain() {
  return {"plain", "without mixup", [](Learner&) {}};
}
StudyArm mixup(double alpha = 0.4) {
  return {text_of("mixup-", alpha), text_of("mixup, alpha ", alpha),
          [=](Learner& learn) { learn.mixup({.alpha = alpha}); }};
}
StudyArm with(std::string key, std::string name, train::MixUpOptions options) {
  return {std::move(key), std::move(name), [=](Learner& learn) { learn.mixup(options); }};
}

const std::vector<int> ten_digits = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

std::string with_commas(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::ptrdiff_t i = std::ssize(digits) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

}  // namespace

std::string StudyData::text() const {
  const std::string what = digits == ten_digits ? "ten digits" : "3s and 7s";
  std::string text = samples > 0 ? with_commas(samples) + " samples of " + what : "all " + what;
  if (wrong_labels > 0) text += text_of(", ", 100 * wrong_labels, " % of them with wrong labels");
  return text_of(text, ", ", epochs, epochs == 1 ? " epoch" : " epochs");
}

const std::vector<StudyMeasure>& study_measures() {
  static const std::vector<StudyMeasure> all{
      {"accuracy", "accuracy", 1},
      {"best_accuracy", "accuracy of the best epoch", 1},
      {"valid_loss", "validation loss", -1},
      {"train_loss", "training loss", 0},
      {"first_loss", "training loss of the first epoch", 0},
      {"confidence", "confidence", 0},
      {"entropy", "entropy of the predictions", 0},
      {"calibration_error", "calibration error", -1},
      {"brier", "Brier score", -1},
      {"fgsm_accuracy", "accuracy after an FGSM step of 0.1", 1},
  };
  return all;
}

std::vector<Experiment> study_experiments(bool quick) {
  std::vector<Experiment> all;
  const std::vector<std::string> probabilities{"accuracy",          "valid_loss", "confidence",   "entropy",
                                               "calibration_error", "brier",      "fgsm_accuracy"};
  const std::vector<StudyArm> alphas{plain(), mixup(0.1), mixup(0.2), mixup(), mixup(1), mixup(4)};
  for (const auto& [digits, name] : {std::pair{std::vector{3, 7}, "3s and 7s"}, std::pair{ten_digits, "ten digits"}})
    for (const std::int64_t samples : {std::int64_t{0}, std::int64_t{1000}, std::int64_t{100}}) {
      const bool two = digits.size() == 2;
      all.push_back({.key = text_of("alpha-", two ? "3s7s" : "digits", samples > 0 ? text_of("-", samples) : ""),
                     .question = "What does mixup do, and how much of it?",
                     .data = {.digits = digits,
                              .samples = samples,
                              .epochs = samples == 100 ? 60
                                        : samples > 0  ? 20
                                        : two          ? 8
                                                       : 4},
                     .arms = alphas,
                     .measures = probabilities});
    }
  for (const double share : {0.2, 0.5, 0.8})
    all.push_back({.key = text_of("wrong-labels-", 100 * share),
                   .question = "Does mixup keep a network from learning wrong labels by heart?",
                   .data = {.digits = ten_digits, .samples = 5000, .wrong_labels = share, .epochs = 20},
                   .arms = {plain(), mixup(), mixup(8), mixup(32)},
                   .measures = {"accuracy", "best_accuracy"}});
  all.push_back({.key = "lambda-per",
                 .question = "Does a lambda for each sample train faster than one for the batch?",
                 .data = {},
                 .arms = {mixup(), with("per-batch", "one lambda per batch", {.lambda_per = LambdaPer::batch})},
                 .measures = {"accuracy", "first_loss", "train_loss"}});
  all.push_back({.key = "dedupe",
                 .question = "Does max(t, 1 - t) help?",
                 .data = {},
                 .arms = {mixup(), with("no-dedupe", "lambda = t", {.dedupe = false})},
                 .measures = {"accuracy", "valid_loss"}});
  all.push_back({.key = "second-loader",
                 .question = "Is a second loader better than a shuffled copy of the batch?",
                 .data = {},
                 .arms = {mixup(), with("second-loader", "second loader", {.source = MixSource::second_loader})},
                 .measures = {"accuracy", "valid_loss"}});
  all.push_back({.key = "batch-mean",
                 .question = "Which loss was the document's table made with?",
                 .data = {},
                 .arms = {mixup(), with("batch-mean", "the batch's mean lambda in the loss",
                                        {.loss_weight = LossWeight::batch_mean})},
                 .measures = {"train_loss", "valid_loss", "accuracy"}});
  const std::vector<StudyArm> relatives{
      mixup(),
      {"cutmix", "CutMix", [](Learner& learn) { learn.cutmix(); }},
      {"either", "mixup or CutMix", [](Learner& learn) { learn.mixup_or_cutmix(); }},
      {"manifold", "manifold mixup, alpha 2", [](Learner& learn) { learn.manifold_mixup(); }},
      {"regmixup", "RegMixup, alpha 10", [](Learner& learn) { learn.reg_mixup(); }},
      with("half", "mixup of half of the samples", {.probability = 0.5}),
      with("off", "mixup but for the last quarter", {.off_from = 15}),
  };
  all.push_back({.key = "relatives",
                 .question = "How do its relatives compare with mixup?",
                 .data = {.digits = ten_digits, .samples = 1000, .epochs = 20},
                 .arms = relatives,
                 .measures = {"accuracy", "valid_loss", "calibration_error", "fgsm_accuracy"}});
  if (quick)
    for (Experiment& experiment : all) {
      experiment.data.samples =
          std::min<std::int64_t>(experiment.data.samples > 0 ? experiment.data.samples : 300, 300);
      experiment.data.epochs = 1;
    }
  return all;
}

}  // namespace mixgrad::apps
