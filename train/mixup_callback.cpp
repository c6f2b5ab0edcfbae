#include "train/mixup_callback.h"

#include <algorithm>
#include <utility>

#include "augment/gather_mixed.h"
#include "core/index.h"
#include "core/parallel.h"
#include "train/learner.h"

namespace mixgrad::train {

MixUpCallback::MixUpCallback(const MixUpOptions& options) : options_(options) {
  Random unused(0);
  augment::draw_mix_plan(0, {.alpha = options.alpha},
                         unused);  // refuses a bad alpha now rather than in the first batch
  check(options.stack_y || options.loss_weight == augment::LossWeight::lambda,
        "mixup: the batch-mean lambda is a property of the loss of stacked targets; it needs stack_y");
}

void MixUpCallback::on_train_begin(Learner& learner) {
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

void MixUpCallback::on_train_end(Learner& learner) noexcept {
  if (original_loss_) learner.loss_function = std::exchange(original_loss_, nullptr);
  second_epoch_.reset();
  second_loader_.reset();
}

void MixUpCallback::on_epoch_begin(Learner& learner) {
  if (second_loader_) second_epoch_.emplace(second_loader_->epoch(learner.pass));
}

std::string MixUpCallback::description() const {
  const MixUpOptions& o = options_;
  const auto word = [](bool is_on) { return is_on ? "on" : "off"; };
  return text_of("mixup: alpha ", o.alpha, ", stack_x ", word(o.stack_x), ", stack_y ", word(o.stack_y), ", source ",
                 o.source == MixSource::second_loader ? "second loader" : "shuffled self", ", one lambda per ",
                 o.lambda_per == augment::LambdaPer::batch ? "batch" : "sample", ", dedupe ", word(o.dedupe),
                 ", loss weighted by ", o.loss_weight == augment::LossWeight::lambda ? "lambda" : "the batch's mean",
                 o.plan ? ", plans of the program's own" : "");
}

// Drawn for some batches at once, side by side: each has a random stream of its own.
const augment::MixPlan& MixUpCallback::drawn_plan(const Learner& learner, std::int64_t batch) {
  constexpr std::int64_t batches = 64;
  const std::int64_t first = batch / batches * batches;
  if (drawn_.plans.empty() || drawn_.pass != learner.pass || drawn_.first != first) {
    const augment::MixOptions options{
        .alpha = options_.alpha, .lambda_per = options_.lambda_per, .dedupe = options_.dedupe};
    const auto count = static_cast<std::size_t>(std::min(batches, learner.data.train.num_batches() - first));
    std::vector<augment::MixPlan> plans(count);
    parallel_for(std::ssize(plans), 1, [&](std::int64_t i, std::int64_t) {
      Random random(learner.options.seed, Purpose::mixup, learner.pass, static_cast<std::uint32_t>(first + i));
      plans[static_cast<std::size_t>(i)] =
          augment::draw_mix_plan(learner.data.train.size_of(first + i), options, random);
    });
    drawn_ = {learner.pass, first, std::move(plans)};
  }
  return drawn_.plans[static_cast<std::size_t>(batch - first)];
}

void MixUpCallback::on_batch_plan(Learner& learner, BatchPlan& plan) {
  const std::int64_t size = std::ssize(plan.indices);
  plan_ = options_.plan ? options_.plan(plan.pass, plan.batch, size) : drawn_plan(learner, plan.batch);
  if (options_.plan) augment::check_plan(plan_);
  check(plan_.size() == size, "mixup: a plan for ", plan_.size(), " samples on a batch of ", size);
  if (!learner.data.train.resident()) return;
  const std::span<const std::int32_t> indices = second_epoch_ ? second_epoch_->numbers(plan.batch) : plan.indices;
  std::vector<std::int32_t> partners;
  for (const std::int32_t i : plan_.permutation.to_vector<std::int32_t>())
    partners.push_back(indices[static_cast<std::size_t>(i)]);
  plan.values["mixup.partners"] = Tensor::from(partners, {size});  // in the data
  plan.values["mixup.lambda"] = plan_.lambda;
}

void MixUpCallback::on_batch_begin(Learner& learner) {
  if (const auto pending = learner.pending()) {
    const Tensor &partners = learner.planned("mixup.partners"), &lambda = learner.planned("mixup.lambda");
    if (options_.stack_x) {
      const data::Batch own = pending->dataset->gather(pending->numbers), other = pending->dataset->gather(partners);
      learner.set_batch(augment::MixedInput{own.x, other.x, lambda}, target_of({own.y, other.y, lambda}, learner));
    } else {
      const auto [x, y] = augment::gather_mixed(*pending->dataset, pending->numbers, partners, lambda);
      learner.set_batch(x, target_of(y, learner));
    }
    return;
  }
  const Tensor* const x = std::get_if<Tensor>(&learner.input());
  const Tensor* const y = std::get_if<Tensor>(&learner.target());
  check(x && y, "mixup: the batch is mixed already; is there a second MixUpCallback?");
  const data::Batch partners = second_epoch_ ? (*second_epoch_)[learner.batch] : data::Batch{*x, *y};
  const augment::MixedInput input = augment::stack_input(*x, partners.x, plan_);
  const augment::Target target = target_of(augment::mixed_target(*y, partners.y, plan_), learner);
  if (options_.stack_x) learner.set_batch(input, target);
  else learner.set_batch(augment::mix(input), target);
}

augment::Target MixUpCallback::target_of(augment::MixedTarget target, const Learner& learner) const {
  if (options_.stack_y) return target;
  if (target.y.dtype() == DType::i32) {
    const std::int64_t classes = std::ssize(learner.data.classes());
    target.y = one_hot(target.y, classes);
    target.partner = one_hot(target.partner, classes);
  }
  return augment::mix(augment::MixedInput{target.y, target.partner, target.lambda});
}

}  // namespace mixgrad::train
