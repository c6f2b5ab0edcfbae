#include "train/mixup_callback.h"

#include <utility>

#include "core/index.h"
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
  return text_of("mixup: alpha ", o.alpha, ", stack_x ", o.stack_x, ", stack_y ", o.stack_y, ", source ",
                 static_cast<int>(o.source), ", lambda_per ", static_cast<int>(o.lambda_per), ", dedupe ", o.dedupe,
                 ", loss_weight ", static_cast<int>(o.loss_weight), ", plan ", o.plan != nullptr);
}

augment::MixPlan MixUpCallback::make_plan(const Learner& learner, std::int64_t batch_size) const {
  if (options_.plan) return options_.plan(learner.pass, learner.batch, batch_size);
  Random random(learner.options.seed, Purpose::mixup, learner.pass, static_cast<std::uint32_t>(learner.batch));
  return augment::draw_mix_plan(
      batch_size, {.alpha = options_.alpha, .lambda_per = options_.lambda_per, .dedupe = options_.dedupe}, random);
}

void MixUpCallback::on_batch_begin(Learner& learner) {
  const Tensor* const input = std::get_if<Tensor>(&learner.input);
  const Tensor* const target = std::get_if<Tensor>(&learner.target);
  check(input && target, "mixup: the batch is mixed already; is there a second MixUpCallback?");
  const Tensor x = *input;
  Tensor y = *target;
  data::Batch partners{x, y};
  if (second_epoch_) partners = (*second_epoch_)[learner.batch];
  const augment::MixPlan plan = make_plan(learner, x.size(0));

  if (options_.stack_x) learner.input = augment::stack_input(x, partners.x, plan);
  else learner.input = augment::mix(x, partners.x, plan);

  if (options_.stack_y) {
    learner.target = augment::mixed_target(y, partners.y, plan);
  } else {
    if (y.dtype() == DType::i32) {
      const auto classes = static_cast<std::int64_t>(learner.data.classes().size());
      y = one_hot(y, classes);
      partners.y = one_hot(partners.y, classes);
    }
    learner.target = augment::mix(y, partners.y, plan);
  }
}

}  // namespace mixgrad::train
