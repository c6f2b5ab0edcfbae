#include "apps/train_outputs.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iomanip>

#include "apps/mix_picture.h"

namespace mixgrad::apps {

namespace {

// Draws a picture and says so.
template <class Write, class... Content>
void announce(Write write, const std::string& png, const Content&... content) {
  if (write(png, content...)) print_line("wrote ", png);
  else print_line("skipped: the picture ", png, " (install the package gnuplot-nox)");
}

// The first batch as mixup will train on it.
void output_mixed_batch(const TrainOptions& options, const data::DataLoaders& data) {
  const data::DataLoader train = data.with_seed(options.seed).train;
  data::LoaderOptions second = train.options();
  if (options.second_loader) second.purpose = Purpose::partner_shuffle;
  const data::Batch batch = train.epoch(0)[0], partners = train.with(second).epoch(0)[0];
  Random random(options.seed, Purpose::mixup);
  const train::MixUpOptions mixup = options.mixup_options();
  const augment::MixPlan plan = augment::draw_mix_plan(
      batch.size(), {.alpha = mixup.alpha, .lambda_per = mixup.lambda_per, .dedupe = mixup.dedupe}, random);
  announce(write_mix_picture, in_output(options, "mixed_batch.png"), augment::stack_input(batch.x, partners.x, plan),
           augment::mixed_target(batch.y, partners.y, plan), options.digit_names(),
           text_of("The first images that mixup trains on, alpha = ", options.alpha));
}

}  // namespace

std::string in_output(const TrainOptions& options, const std::string& name) {
  return (std::filesystem::path(options.out) / name).string();
}

void make_output(const TrainOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.out, error);
  check(!error && std::filesystem::is_directory(options.out), "--out: cannot make the folder ", options.out);
}

std::string start_output(const TrainOptions& options, const data::DataLoaders& data) {
  make_output(options);
  std::string metrics = in_output(options, "metrics.csv");
  check(std::ofstream(metrics, std::ios::app).good(), "--out: cannot write ", metrics);
  if (options.mixup_run()) output_mixed_batch(options, data);
  return metrics;
}

void output_lr_curve(const TrainOptions& options, const train::LrCurve& curve) {
  make_output(options);
  announce(write_lr_curve, in_output(options, "lr_find.png"), curve);
}

void output_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run) {
  const std::vector<std::string> names = options.digit_names();
  std::vector<train::TopLoss> mistakes = train::top_losses(learn, learn.data.valid.dataset().size());
  std::erase_if(mistakes, [](const train::TopLoss& loss) { return loss.predicted == loss.target; });
  const train::EpochRecord& last = learn.recorder->epochs().back();
  const std::string when = text_of(run, ", ", last.epoch, last.epoch == 1 ? " epoch: " : " epochs: ");
  announce(write_confusion_matrix, in_output(options, run + "_confusion.png"), train::confusion_matrix(learn), names,
           text_of(when, std::fixed, std::setprecision(2), 100 * last.metrics.at(0), " % right"));

  const auto name = [&](std::int32_t label) { return names.at(static_cast<std::size_t>(label)); };
  std::vector<std::int32_t> worst;
  std::vector<std::string> captions;
  mistakes.resize(std::min<std::size_t>(mistakes.size(), 12));
  for (const train::TopLoss& loss : mistakes) {
    worst.push_back(static_cast<std::int32_t>(loss.index));
    // The loss is cross entropy, -log of the probability that the model gave the true class.
    captions.push_back(text_of(name(loss.target), " (", probability_text(std::exp(-loss.loss)), "), read as ",
                               name(loss.predicted), " (", probability_text(loss.probability), ")"));
  }
  const std::string sheet = in_output(options, run + "_top_losses.png");
  if (!worst.empty())
    return announce(write_top_losses, sheet, learn.data.valid.dataset().get(worst).x, captions,
                    when + "the worst mistakes, and how probable each reading was to the model");
  std::filesystem::remove(sheet);  // of an earlier run
  print_line("not drawn: ", sheet, ", as every digit is read right");
}

void output_curves(const TrainOptions& options, const std::vector<RunCurves>& runs) {
  if (runs.empty()) return;
  announce(write_curves, in_output(options, "curves.png"), runs);
  if (!options.mixup_run() || options.alpha == 0) return;
  const augment::MixOptions mix{.alpha = options.alpha, .dedupe = !options.no_dedupe};
  Random random(options.seed, Purpose::mixup);
  announce(write_beta_density, in_output(options, "lambda.png"), mix,
           augment::draw_mix_plan(10000, mix, random).lambda);
}

}  // namespace mixgrad::apps
