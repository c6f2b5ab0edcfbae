#include "train/pair_mix_callback.h"

#include <algorithm>
#include <utility>

#include "core/parallel.h"
#include "train/learner.h"

namespace mixgrad::train {

PairMixCallback::PairMixCallback(std::shared_ptr<const augment::PairMix> mix, const PairMixOptions& options)
    : mix_(std::move(mix)), options_(options) {
  check(options.stack_y || options.loss_weight == augment::LossWeight::lambda,
        "mixup: the batch-mean lambda is a property of the loss of stacked targets; it needs stack_y");
}

MixUpCallback::MixUpCallback(const MixUpOptions& o)
    : PairMixCallback(std::make_shared<augment::MixUp>(augment::MixOptions{o.alpha, o.lambda_per, o.dedupe}),
                      {o.stack_x, o.stack_y, o.source, o.loss_weight, o.plan}) {}

CutMixCallback::CutMixCallback(const CutMixOptions& o)
    : PairMixCallback(std::make_shared<augment::CutMix>(augment::CutMixDraws{o.alpha, o.box_per}),
                      {.source = o.source, .plan = o.plan}) {}

void PairMixCallback::on_train_begin(Learner& learner) {
  drawn_ = {};
  if (options_.source == MixSource::second_loader) {
    data::LoaderOptions options = learner.data.train.options();
    options.shuffle = true;
    options.seed = learner.options.seed;
    options.purpose = Purpose::partner_shuffle;
    second_loader_ = learner.data.train.with(options);
  }
  if (options_.stack_y)
    original_loss_ =
        std::exchange(learner.loss_function, augment::MixUpLoss(learner.options.loss, options_.loss_weight));
}

void PairMixCallback::on_train_end(Learner& learner) noexcept {
  if (original_loss_) learner.loss_function = std::exchange(original_loss_, nullptr);
  second_epoch_.reset();
  second_loader_.reset();
}

void PairMixCallback::on_epoch_begin(Learner& learner) {
  if (second_loader_) second_epoch_.emplace(second_loader_->epoch(learner.pass));
}

std::string PairMixCallback::description() const {
  const PairMixOptions& o = options_;
  const auto word = [](bool is_on) { return is_on ? "on" : "off"; };
  return text_of(mix_->description(), ", stack_x ", word(o.stack_x), ", stack_y ", word(o.stack_y), ", source ",
                 o.source == MixSource::second_loader ? "second loader" : "shuffled self", ", loss weighted by ",
                 o.loss_weight == augment::LossWeight::lambda ? "lambda" : "the batch's mean",
                 o.plan ? ", plans of the program's own" : "");
}

// Drawn for some batches at once, side by side: each has a random stream of its own.
const augment::MixPlan& PairMixCallback::drawn_plan(const Learner& learner, const BatchPlan& plan) {
  constexpr std::int64_t batches = 64;
  const std::int64_t first = plan.batch / batches * batches;
  const Shape sample = plan.shape.with(0, 1);
  if (drawn_.plans.empty() || drawn_.pass != plan.pass || drawn_.first != first || drawn_.sample != sample) {
    const auto count = static_cast<std::size_t>(std::min(batches, learner.data.train.num_batches() - first));
    std::vector<augment::MixPlan> plans(count);
    parallel_for(std::ssize(plans), 1, [&](std::int64_t i, std::int64_t) {
      Random random(learner.options.seed, Purpose::mixup, plan.pass, static_cast<std::uint32_t>(first + i));
      plans[static_cast<std::size_t>(i)] =
          mix_->draw(plan.shape.with(0, learner.data.train.size_of(first + i)), random);
    });
    drawn_ = {plan.pass, first, sample, std::move(plans)};
  }
  return drawn_.plans[static_cast<std::size_t>(plan.batch - first)];
}

void PairMixCallback::on_batch_plan(Learner& learner, BatchPlan& plan) {
  check(!plan.mix, "mixup: the batch is mixed already; is there a second callback that mixes?");
  const std::int64_t size = std::ssize(plan.indices);
  plan.mix = {.mix = mix_,
              .plan = options_.plan ? options_.plan(plan.pass, plan.batch, size) : drawn_plan(learner, plan),
              .stack_x = options_.stack_x,
              .stack_y = options_.stack_y};
  const augment::MixPlan& drawn = plan.mix->plan;
  if (options_.plan) augment::check_plan(drawn);
  check(drawn.size() == size, "mixup: a plan for ", drawn.size(), " samples on a batch of ", size);
  if (!second_epoch_) return;
  const std::span<const std::int32_t> others = second_epoch_->indices(plan.batch);
  for (const std::int32_t i : drawn.permutation) plan.mix->partners.push_back(others[static_cast<std::size_t>(i)]);
}

}  // namespace mixgrad::train
