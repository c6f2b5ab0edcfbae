#include "train/pair_mix_callback.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "augment/reg_mixup.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "train/learner.h"

namespace mixgrad::train {

PairMixCallback::PairMixCallback(std::vector<WeightedMix> mixes, const PairMixOptions& options)
    : mixes_(std::move(mixes)), options_(options) {
  double sum = 0;
  for (const WeightedMix& mix : mixes_) {
    check(std::isfinite(mix.weight) && mix.weight >= 0, "mixup: a mix of weight ", mix.weight);
    sum += mix.weight;
  }
  check(sum > 0, "mixup: no mix has a weight above 0");
  check(options.stack_y || (options.loss_weight == augment::LossWeight::lambda && !options.eta),
        "mixup: the batch-mean lambda and RegMixup's loss are properties of the loss of stacked targets; they need "
        "stack_y");
  check(
      !options.eta || (*options.eta >= 0 && std::isfinite(*options.eta) && !options.stack_x &&
                       options.loss_weight == augment::LossWeight::lambda),
      "mixup: RegMixup's eta must be finite and not negative, and goes with neither stack_x nor the batch-mean lambda");
  check(options.source != MixSource::near_targets || (options.bandwidth > 0 && std::isfinite(options.bandwidth)),
        "mixup: near targets need a bandwidth above 0, got ", options.bandwidth);
  check(options.off_from >= 0, "mixup: off from epoch ", options.off_from);
  check(mixes_.size() == 1 || !options.plan, "mixup: plans of the program's own are for one mix, not for ",
        mixes_.size());
}

MixUpCallback::MixUpCallback(const MixUpOptions& o)
    : PairMixCallback(std::make_shared<augment::MixUp>(
                          augment::MixOptions{o.alpha, o.lambda_per, o.dedupe, o.probability, o.pairing}),
                      {.stack_x = o.stack_x,
                       .stack_y = o.stack_y,
                       .source = o.source,
                       .loss_weight = o.loss_weight,
                       .plan = o.plan,
                       .off_from = o.off_from}) {}

CutMixCallback::CutMixCallback(const CutMixOptions& o)
    : PairMixCallback(
          std::make_shared<augment::CutMix>(augment::CutMixDraws{o.alpha, o.box_per, o.probability, o.pairing}),
          {.source = o.source, .plan = o.plan, .off_from = o.off_from}) {}

void PairMixCallback::on_train_begin(Learner& learner) {
  drawn_ = {};
  if (options_.source == MixSource::second_loader) {
    data::LoaderOptions options = learner.data.train.options();
    options.shuffle = true;
    options.seed = learner.options.seed;
    options.purpose = Purpose::partner_shuffle;
    second_loader_ = learner.data.train.with(options);
  }
  if (options_.source == MixSource::near_targets) {
    std::vector<Tensor> targets;
    const data::Dataset& dataset = learner.data.train.dataset();
    const auto size = static_cast<std::int32_t>(dataset.size());
    for (std::int32_t first = 0; first < size; first += 256) {
      std::vector<std::int32_t> some(static_cast<std::size_t>(std::min(256, size - first)));
      std::iota(some.begin(), some.end(), first);
      targets.push_back(dataset.get(some).y.to(cpu));
    }
    near_targets_.emplace(concat(targets, 0), options_.bandwidth);
  }
  if (!options_.stack_y) return;
  if (options_.eta) original_loss_ = augment::RegMixUpLoss(learner.options.loss, *options_.eta);
  else original_loss_ = augment::MixUpLoss(learner.options.loss, options_.loss_weight);
  std::swap(original_loss_, learner.loss_function);
}

void PairMixCallback::on_train_end(Learner& learner) noexcept {
  if (original_loss_) learner.loss_function = std::exchange(original_loss_, nullptr);
  second_epoch_.reset();
  second_loader_.reset();
  near_targets_.reset();
}

void PairMixCallback::on_epoch_begin(Learner& learner) {
  if (second_loader_) second_epoch_.emplace(second_loader_->epoch(learner.pass));
}

std::string PairMixCallback::description() const {
  const PairMixOptions& o = options_;
  const auto word = [](bool is_on) { return is_on ? "on" : "off"; };
  std::string text;
  for (const WeightedMix& mix : mixes_)
    text += text_of(text.empty() ? "" : " or ", mix.mix->description(),
                    mixes_.size() > 1 ? text_of(" (weight ", mix.weight, ")") : "");
  text += text_of(", stack_x ", word(o.stack_x), ", stack_y ", word(o.stack_y), ", source ",
                  o.source == MixSource::second_loader  ? std::string("second loader")
                  : o.source == MixSource::near_targets ? text_of("near targets, bandwidth ", o.bandwidth)
                                                        : std::string("shuffled self"),
                  ", loss weighted by ", o.loss_weight == augment::LossWeight::lambda ? "lambda" : "the batch's mean",
                  o.plan ? ", plans of the program's own" : "");
  if (o.eta) text += text_of(", beside the clean batch, eta ", *o.eta);
  if (std::isfinite(o.off_from)) text += text_of(", off from epoch ", o.off_from);
  return text;
}

// Drawn for some batches at once, side by side: each has a random stream of its own.
const PlannedMix& PairMixCallback::drawn_mix(const Learner& learner, const BatchPlan& plan) {
  constexpr std::int64_t batches = 64;
  const std::int64_t first = plan.batch / batches * batches;
  const Shape sample = plan.shape.with(0, 1);
  if (drawn_.mixes.empty() || drawn_.pass != plan.pass || drawn_.first != first || drawn_.sample != sample) {
    const auto count = static_cast<std::size_t>(std::min(batches, learner.data.train.num_batches() - first));
    std::vector<PlannedMix> mixes(count);
    parallel_for(std::ssize(mixes), 1, [&](std::int64_t i, std::int64_t) {
      PlannedMix& drawn = mixes[static_cast<std::size_t>(i)];
      drawn.mix = choose(learner, plan.pass, first + i);
      Random random(learner.options.seed, Purpose::mixup, plan.pass, static_cast<std::uint32_t>(first + i));
      drawn.plan = drawn.mix->draw(plan.shape.with(0, learner.data.train.size_of(first + i)), random);
    });
    drawn_ = {plan.pass, first, sample, std::move(mixes)};
  }
  return drawn_.mixes[static_cast<std::size_t>(plan.batch - first)];
}

std::shared_ptr<const augment::PairMix> PairMixCallback::choose(const Learner& learner, std::uint32_t pass,
                                                                std::int64_t batch) const {
  std::vector<double> weights;
  for (const WeightedMix& mix : mixes_) weights.push_back(mix.weight);
  Random random(learner.options.seed, Purpose::pairing, pass, static_cast<std::uint32_t>(batch));
  return mixes_[augment::draw_one_of(weights, random)].mix;
}

void PairMixCallback::on_batch_plan(Learner& learner, BatchPlan& plan) {
  check(!plan.mix, "mixup: the batch is mixed already; is there a second callback that mixes?");
  const data::DataLoader& loader = learner.data.train;
  if (learner.epoch * loader.num_batches() + plan.batch >= loader.batches_in(options_.off_from)) return;
  const std::int64_t size = std::ssize(plan.indices);
  if (options_.plan) plan.mix = {.mix = mixes_.front().mix, .plan = options_.plan(plan.pass, plan.batch, size)};
  else plan.mix = drawn_mix(learner, plan);
  plan.mix->stack_x = options_.stack_x;
  plan.mix->stack_y = options_.stack_y;
  plan.mix->keep_clean = options_.eta.has_value();
  const augment::MixPlan& drawn = plan.mix->plan;
  if (options_.plan) augment::check_plan(drawn);
  check(drawn.size() == size, "mixup: a plan for ", drawn.size(), " samples on a batch of ", size);
  if (near_targets_) {
    Random random(learner.options.seed, Purpose::pairing, plan.pass, static_cast<std::uint32_t>(plan.batch), 2);
    plan.mix->partners = near_targets_->draw(plan.indices, random);
  }
  if (!second_epoch_) return;
  const std::span<const std::int32_t> others = second_epoch_->indices(plan.batch);
  for (const std::int32_t i : drawn.permutation) plan.mix->partners.push_back(others[static_cast<std::size_t>(i)]);
}

}  // namespace mixgrad::train
