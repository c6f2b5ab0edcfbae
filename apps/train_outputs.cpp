#include "apps/train_outputs.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <sstream>

#include "apps/mix_picture.h"

namespace mixgrad::apps {

namespace {

// The first batch as mixup will train on it.
void write_picture(const TrainOptions& options, const data::DataLoaders& data) {
  const data::DataLoader train = data.with_seed(options.seed).train;
  data::LoaderOptions second = train.options();
  if (options.second_loader) second.purpose = Purpose::partner_shuffle;
  const data::Batch batch = train.epoch(0)[0], partners = train.with(second).epoch(0)[0];
  Random random(options.seed, Purpose::mixup);
  const train::MixUpOptions mixup = options.mixup_options();
  const augment::MixPlan plan = augment::draw_mix_plan(
      batch.size(), {.alpha = mixup.alpha, .lambda_per = mixup.lambda_per, .dedupe = mixup.dedupe}, random);
  const std::string path = in_output(options, "mixed_batch.png");
  if (write_mix_picture(path, augment::stack_input(batch.x, partners.x, plan),
                        augment::mixed_target(batch.y, partners.y, plan), options.digit_names()))
    std::printf("wrote %s\n", path.c_str());
  else std::printf("skipped: the picture of a mixed batch (install the package gnuplot-nox)\n");
}

}  // namespace

std::string in_output(const TrainOptions& options, const std::string& name) {
  return (std::filesystem::path(options.out) / name).string();
}

std::string start_output(const TrainOptions& options, const data::DataLoaders& data) {
  std::error_code ignored;
  std::filesystem::create_directories(options.out, ignored);
  std::string metrics = in_output(options, "metrics.csv");
  check(std::ofstream(metrics, std::ios::app).good(), "--out: cannot write ", metrics);
  if (options.mixup_run()) write_picture(options, data);
  check(std::ofstream(metrics).good(), "--out: cannot write ", metrics);
  return metrics;
}

void write_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run) {
  const std::vector<std::string> names = options.digit_names();
  const auto name = [&](std::int32_t label) { return names.at(static_cast<std::size_t>(label)); };
  std::vector<std::int32_t> worst;
  std::vector<std::string> captions;
  for (const train::TopLoss& loss : train::top_losses(learn, 12)) {
    worst.push_back(static_cast<std::int32_t>(loss.index));
    std::ostringstream caption;
    caption << name(loss.target) << ", read as " << name(loss.predicted) << " (" << std::fixed << std::setprecision(2)
            << loss.probability << ")";
    captions.push_back(caption.str());
  }
  write_top_losses(in_output(options, run + "_top_losses.png"), learn.data.valid.dataset().get(worst).x, captions);
  write_confusion_matrix(in_output(options, run + "_confusion.png"), train::confusion_matrix(learn), names);
}

void write_curves(const TrainOptions& options, const std::vector<RunCurves>& runs) {
  if (runs.empty()) return;
  write_curves(in_output(options, "curves.png"), runs);
  if (!options.mixup_run() || options.alpha == 0) return;
  const augment::MixOptions mix{.alpha = options.alpha, .dedupe = !options.no_dedupe};
  Random random(options.seed, Purpose::mixup);
  write_beta_density(in_output(options, "lambda.png"), mix, augment::draw_mix_plan(10000, mix, random).lambda);
}

}  // namespace mixgrad::apps
