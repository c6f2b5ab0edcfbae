#include "apps/train_outputs.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <set>

namespace mixgrad::apps {

namespace {

// The run that a picture is of.
std::string description(const TrainOptions& options, bool mixup) {
  const std::string digits = options.digits.size() == 10 ? "0 to 9" : options.digit_list();
  return text_of(options.synthetic ? "drawn digits " : "digits ", digits, ", seed ", options.seed,
                 mixup ? text_of(", alpha = ", options.alpha) : "");
}

// The first images as they will be mixed for training, each with a caption such as "0.700 three + 0.300 seven".
void output_mixed_batch(const TrainOptions& options, const data::DataLoaders& data) {
  const data::DataLoader train = data.with_seed(options.seed).train;
  data::LoaderOptions second = train.options();
  if (options.second_loader) second.purpose = Purpose::partner_shuffle;
  const data::Batch batch = train.epoch(0)[0], partners = train.with(second).epoch(0)[0];
  Random random(options.seed, Purpose::mixup);
  const auto mix = options.pair_mix();
  const augment::MixPlan plan = mix->draw(batch.x.shape(), random);
  const augment::MixedInput pair = augment::stack_input(batch.x, partners.x, plan);
  const augment::MixedTarget labels = augment::mixed_target(batch.y, partners.y, plan);
  const auto name = [names = options.digit_names()](const Tensor& y, std::int64_t n) {
    return names.at(static_cast<std::size_t>(y.data<std::int32_t>()[n]));
  };
  const std::int64_t count = std::min<std::int64_t>(12, batch.size());
  std::vector<std::string> captions;
  for (std::int64_t n = 0; n < count; ++n) {
    // The second share is 1.000 minus the first, also after rounding.
    const double share = std::floor(1000 * labels.lambda.data<float>()[n] + 0.5f) / 1000;
    captions.push_back(with_decimals(share, 3) + ' ' + name(labels.y, n) + " + " + with_decimals(1 - share, 3) + ' ' +
                       name(labels.partner, n));
  }
  const Tensor mixed = mix->combine(pair.x, pair.partner, {plan, cpu});
  announce(write_image_grid, in_output(options, "mixed_batch.png"), slice(mixed, 0, count), captions,
           text_of("The first images that ", options.run_name(true), " trains on: ", description(options, true)));
}

}  // namespace

void start_lr_output(const TrainOptions& options) {
  take_folder(options.out);
  check_can_write_atomically(in_output(options, lr_picture));
  name_leftovers(options.out, {lr_picture}, {options.load});
}

std::string start_output(const TrainOptions& options, const data::DataLoaders& data) {
  std::set<std::string> checkpoints;
  for (const bool mixup : options.runs())
    for (int i = 0; i < options.seeds; ++i)
      checkpoints.insert(
          checkpoint_path(options, options.run_name(mixup), options.seed + static_cast<std::uint64_t>(i)));
  const std::string metrics = start_output_folder(options, checkpoints, {options.load});
  if (options.mixup_run()) output_mixed_batch(options, data);
  return metrics;
}

void output_lr_curve(const TrainOptions& options, const train::LrCurve& curve) {
  announce(write_lr_curve, in_output(options, lr_picture), curve,
           "Learning-rate range test: " + description(options, options.mixup || options.cutmix));
}

void output_mistakes(const TrainOptions& options, train::Learner& learn, const std::string& run) {
  const std::vector<std::string> names = options.digit_names();
  std::vector<train::TopLoss> mistakes = train::top_losses(learn, learn.data.valid.dataset().size());
  std::erase_if(mistakes, [](const train::TopLoss& loss) { return loss.predicted == loss.target; });
  const train::EpochRecord& last = learn.recorder->epochs().back();
  const std::string when = text_of(run, ", ", description(options, run == options.run_name(true)), ", ", last.epoch,
                                   last.epoch == 1 ? " epoch: " : " epochs: ");
  announce(write_confusion_matrix, in_output(options, run + "_confusion.png"), train::confusion_matrix(learn), names,
           when + with_decimals(100 * last.metrics.at(0), 2) + " % right on the validation set");

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
    return announce(write_image_grid, sheet, learn.data.valid.dataset().get(worst).x, captions,
                    when + "the worst mistakes on the validation set, and how probable each reading was to the model");
  print_line("not drawn: ", sheet, ", as every digit is read right");
}

void output_curves(const TrainOptions& options, const std::vector<RunCurves>& runs) {
  if (runs.empty()) return;
  announce(write_curves, in_output(options, "curves.png"), runs, description(options, options.mixup_run()));
  if (!options.mixup_run() || options.cutmix || options.alpha == 0) return;
  const augment::MixOptions mix = options.draws();
  Random random(options.seed, Purpose::mixup);
  announce(write_beta_density, in_output(options, "lambda.png"), mix, augment::draw_mix_plan(10000, mix, random).lambda,
           text_of("What mixup draws: alpha = ", options.alpha, ", seed ", options.seed));
}

}  // namespace mixgrad::apps
