#include <algorithm>

#include "apps/study/study.h"

namespace mixgrad::apps {
namespace {

using augment::LambdaPer, augment::LossWeight, train::Learner, train::MixSource;

StudyArm plain() { return {.key = "plain", .name = "without mixup"}; }
StudyArm with(std::string key, std::string name, const train::MixUpOptions& options) {
  return {.key = std::move(key), .name = std::move(name), .prepare = [=](Learner& learn) { learn.mixup(options); }};
}
StudyArm mixup(double alpha = 0.4) {
  return with(text_of("mixup-", alpha), text_of("mixup, alpha ", alpha), {.alpha = alpha});
}

// Mixup without one of its halves.
class HalfMix : public train::StepCallback {
 public:
  explicit HalfMix(bool inputs) : inputs_(inputs) {}
  void on_batch_begin(Learner& learn) override {
    if (inputs_) {
      const Tensor own = std::get<augment::MixedTarget>(learn.target).y;  // the target is replaced
      learn.target = own;
    } else {
      const Tensor own = std::get<augment::MixedInput>(learn.input).x;
      learn.input = own;
    }
  }
  train::StepWork step_work() const override { return train::StepWork::same; }

 private:
  bool inputs_;
};
StudyArm inputs_only() {
  return {.key = "inputs-only", .name = "inputs mixed, labels not", .prepare = [](Learner& learn) {
            learn.mixup().add(std::make_shared<HalfMix>(true));
          }};
}
StudyArm labels_only() {
  return {.key = "labels-only", .name = "labels mixed, inputs not", .prepare = [](Learner& learn) {
            learn.mixup({.stack_x = true}).add(std::make_shared<HalfMix>(false));
          }};
}

const std::vector<int> ten_digits = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

std::string with_commas(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::ptrdiff_t i = std::ssize(digits) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), ",");
  return digits;
}

nn::Sequential lenet_with_dropout() {  // in front of the last layer
  using namespace nn;
  return Sequential(Conv2d(3, 6, {.kernel_size = 5, .padding = 2}), ReLU(), MaxPool2d(2),
                    Conv2d(6, 16, {.kernel_size = 5}), ReLU(), MaxPool2d(2), Flatten(), Linear(400, 120), ReLU(),
                    Linear(120, 84), ReLU(), Dropout(0.5), Linear(84, 10));
}

void add_alphas(std::vector<Experiment>& all) {
  for (const bool two : {true, false})
    for (const std::int64_t samples : {0, 1000, 100})
      all.push_back(
          {.key = text_of("alpha-", two ? "3s7s" : "digits", samples > 0 ? text_of("-", samples) : ""),
           .question = "What does mixup do, and how much of it?",
           .data = {.digits = two ? std::vector{3, 7} : ten_digits,
                    .samples = samples,
                    .epochs = samples == 100 ? 60
                              : samples > 0  ? 20
                              : two          ? 8
                                             : 4},
           .arms = {plain(), mixup(0.1), mixup(0.2), mixup(), mixup(1), mixup(4)},
           .measures = {"accuracy", "valid_loss", "train_loss", "confidence", "calibration_error", "fgsm_accuracy"},
           .measured = {"loss_floor"}});
}

void add_wrong_labels(std::vector<Experiment>& all) {
  const StudyArm dropout{.key = "dropout", .name = "dropout 0.5", .model = lenet_with_dropout};
  for (const double share : {0.2, 0.5, 0.8})
    all.push_back({.key = text_of("wrong-labels-", 100 * share),
                   .question = "Does mixup keep a network from memorising wrong labels?",
                   .data = {.digits = ten_digits, .samples = 5000, .wrong_labels = share, .epochs = 20},
                   .arms = {plain(), dropout, mixup(), mixup(8), mixup(32)},
                   .measures = {"accuracy", "best_accuracy"},
                   .elsewhere =
                       "To compare the shape with: the paper's error on CIFAR-10 after the last epoch at 20, 50 and "
                       "80 % of wrong labels is 16.6, 44.6, 73.9 plain; 10.4, 15.5, 35.1 with dropout; 6.4, 12.7, "
                       "30.9 with mixup of alpha 8, 32, 32 (quoted from memory). Here a wrong label is always "
                       "another class."});
}

// Each choice of the document, against the other.
void add_choices(std::vector<Experiment>& all) {
  all.push_back({.key = "lambda-per",
                 .question = "Does a lambda for each sample train faster than one for the batch?",
                 .arms = {mixup(), with("per-batch", "one lambda per batch", {.lambda_per = LambdaPer::batch})},
                 .measures = {"accuracy", "first_loss", "first_valid_loss", "first_accuracy", "train_loss"}});
  all.push_back({.key = "dedupe",
                 .question = "Does max(t, 1 - t) help?",
                 .arms = {mixup(), with("no-dedupe", "lambda = t", {.dedupe = false})},
                 .measures = {"accuracy", "valid_loss"}});
  all.push_back({.key = "second-loader",
                 .question = "Is a second loader better than a shuffled copy of the batch?",
                 .arms = {mixup(), with("second-loader", "second loader", {.source = MixSource::second_loader}),
                          with("paper", "the paper's form: second loader, one t per batch, one-hot",
                               {.stack_y = false,
                                .source = MixSource::second_loader,
                                .lambda_per = LambdaPer::batch,
                                .dedupe = false})},
                 .measures = {"accuracy", "valid_loss"}});
  all.push_back({.key = "one-hot",
                 .question = "Do two losses train as one loss of mixed one-hot targets does?",
                 .arms = {mixup(), with("one-hot", "one-hot targets, mixed", {.stack_y = false})},
                 .measures = {"train_loss", "valid_loss", "accuracy"}});
  all.push_back(
      {.key = "batch-mean",
       .question = "Which loss was the document's table made with?",
       .arms = {mixup(), plain(),
                with("batch-mean", "the batch's mean lambda in the loss", {.loss_weight = LossWeight::batch_mean})},
       .measures = {"train_loss", "valid_loss", "accuracy"}});
}

void add_behaviour(std::vector<Experiment>& all) {
  const StudyData data{.digits = ten_digits, .samples = 5000, .epochs = 20};
  all.push_back(
      {.key = "predictions",
       .question = "Is a network less sure of itself with mixup, and is it right to be?",
       .data = data,
       .arms = {plain(), mixup(), mixup(1)},
       .measures = {"confidence", "entropy", "calibration_error", "valid_loss", "brier", "train_loss", "above_floor"},
       .measured = {"loss_floor", "histogram"}});
  all.push_back(
      {.key = "directions",
       .question = "Which half of mixup does it: mixed inputs, or mixed labels? Is the network linear between samples?",
       .data = data,
       .arms = {plain(), mixup(), inputs_only(), labels_only()},
       .measures = {"accuracy", "valid_loss", "calibration_error", "nonlinearity", "misses_half", "gradient_half"},
       .measured = {"between", "misses", "gradient"}});
  all.push_back(
      {.key = "relatives",
       .question = "How do its relatives compare with mixup?",
       .data = {.digits = ten_digits, .samples = 1000, .epochs = 20},
       .arms = {mixup(),
                {.key = "cutmix", .name = "CutMix", .prepare = [](Learner& learn) { learn.cutmix(); }},
                {.key = "either",
                 .name = "mixup or CutMix",
                 .prepare = [](Learner& learn) { learn.mixup_or_cutmix(); }},
                {.key = "manifold",
                 .name = "manifold mixup, alpha 2",
                 .prepare = [](Learner& learn) { learn.manifold_mixup(); }},
                {.key = "regmixup", .name = "RegMixup, alpha 10", .prepare = [](Learner& learn) { learn.reg_mixup(); }},
                with("half", "mixup on half of the samples", {.probability = 0.5}),
                with("off", "mixup, off in the last quarter", {.off_from = 15}),
                with("flip", "partners flipped", {.pairing = augment::Pairing::flip}),
                with("roll", "partners rolled", {.pairing = augment::Pairing::roll})},
       .measures = {"accuracy", "valid_loss", "calibration_error", "fgsm_accuracy"}});
  all.push_back({.key = "cifar10",
                 .question = "What does mixup do for photographs?",
                 .data = {.digits = {}, .samples = 5000, .epochs = 20},
                 .arms = {plain(),
                          mixup(),
                          mixup(1),
                          {.key = "cutmix", .name = "CutMix", .prepare = [](Learner& learn) { learn.cutmix(); }}},
                 .measures = {"accuracy", "valid_loss", "confidence", "calibration_error"},
                 .measured = {"histogram"}});
}

}  // namespace

bool Experiment::wants(const std::string& measure) const {
  return std::ranges::count(measures, measure) + std::ranges::count(measured, measure) > 0;
}

std::string StudyData::text() const {
  if (epochs == 0) return "computed, nothing is trained";
  const std::string what = cifar10() ? "CIFAR-10" : digits == ten_digits ? "ten digits" : "3s and 7s";
  std::string text = samples > 0 ? with_commas(samples) + " samples of " + what : "all " + what;
  if (wrong_labels > 0) text += text_of(", ", 100 * wrong_labels, " % of them with wrong labels");
  return text_of(text, ", ", epochs, epochs == 1 ? " epoch" : " epochs");
}

const StudyMeasure& study_measure(const std::string& name) {
  static const std::vector<StudyMeasure> all{
      {"accuracy", "accuracy", 1},
      {"best_accuracy", "accuracy of the best epoch, on 2,000 images", 1},
      {"valid_loss", "validation loss (negative log-likelihood)", -1},
      {"train_loss", "training loss"},
      {"first_loss", "training loss of the first epoch"},
      {"first_valid_loss", "validation loss after the first epoch", -1},
      {"first_accuracy", "accuracy after the first epoch", 1},
      {"loss_floor", "least possible training loss"},
      {"above_floor", "training loss above the least possible"},
      {"confidence", "confidence"},
      {"entropy", "entropy of the predictions, nats"},
      {"calibration_error", "expected calibration error", -1},
      {"brier", "Brier score", -1},
      {"fgsm_accuracy", "accuracy after an FGSM step of 0.1", 1},
      {"nonlinearity", "distance from a straight line between samples", -1},
      {"misses_half", "predictions of neither class, half-way between two", -1},
      {"gradient_half", "norm of the loss's gradient with respect to the input, half-way", -1},
      {"squared_error", "mean squared error", -1},
      {"absolute_error", "mean absolute error", -1},
      {"seconds", "seconds for each epoch, or for a loss with its gradient"},
      // Of facts.cpp.
      {"formula_error", "largest difference from the formula"},
      {"share_of_first", "share of the first image's label"},
      {"near_ends", "share of draws within 0.1 of 0 or 1"},
      {"within_0.2", "share of draws within 0.2 of 0 or 1"},
      {"variance", "variance of t"},
      {"mean_lambda", "mean of max(t, 1 - t)"},
      {"entropy_of_lambda", "mean entropy H(t), nats"},
      {"twins", "equal mixtures (shares within 0.05) in 1,000 batches of 64, counted"},
      {"twins_computed", "the same, computed"},
      {"batch_loss", "loss of one batch"},
      {"gradient_distance", "relative distance of its gradient from that of two losses"},
      {"parameters", "parameters of simple_cnn((3, 16, 16, 2))"},
      {"train_images", "training images"},
      {"valid_images", "validation images"},
      {"mixed_in_training", "share of training batches that were mixed"},
      {"mixed_in_validation", "share of validation batches that were mixed"},
      {"loss_restored", "the loss after training is the one before (1: yes)"},
  };
  for (const StudyMeasure& measure : all)
    if (measure.name == name) return measure;
  fail("study: unknown measure ", name);
}

const std::vector<StudyCurve>& study_curves() {
  static const std::vector<StudyCurve> all{
      {"histogram", "How sure the network is", "confidence", "share of images"},
      {"reliability", "Reliability: accuracy against confidence (diagonal: well calibrated)", "confidence", "accuracy"},
      {"between", "Between two samples: the first one's class", "lambda, the share of the first", "its probability"},
      {"misses", "Between two samples: predictions of neither class", "lambda", "share"},
      {"gradient", "Between two samples: how steep the loss is", "lambda", "norm of the gradient"},
  };
  return all;
}

std::vector<Experiment> study_experiments(bool quick) {
  std::vector<Experiment> all = study_facts();
  add_alphas(all);
  add_wrong_labels(all);
  add_choices(all);
  all.push_back(study_regression(quick));
  add_behaviour(all);
  if (quick)
    for (Experiment& experiment : all) {
      StudyData& data = experiment.data;
      data.samples = std::min<std::int64_t>(data.samples > 0 ? data.samples : 300, 300);
      data.validation = 200;
      data.epochs = std::min(data.epochs, 1);
    }
  return all;
}

}  // namespace mixgrad::apps
