#include "train/weight_average.h"

#include <algorithm>

#include "train/learner.h"

namespace mixgrad::train {

WeightAverage::WeightAverage(const WeightAverageOptions& options) : options_(options) {
  check(options.decay >= 0 && options.decay < 1, "weight average: a decay of ", options.decay);
}

void WeightAverage::swap() {
  check(average_.defined(), "weight average: there is none before a fit");
  average_.swap();
  swapped_ = 1 - swapped_;
}

void WeightAverage::on_train_begin(Learner& learner) {
  average_ = AveragedWeights(*learner.model);
  swapped_ = 0;
}

void WeightAverage::on_epoch_begin(Learner&) {
  if (has_average()) swap();
}

void WeightAverage::on_batch_plan(Learner& learner, BatchPlan& plan) {
  const auto done = static_cast<double>(learner.epoch * learner.data.train.num_batches() + plan.batch);
  const double most = options_.warm_up ? (1 + done) / (10 + done) : 1;
  plan.values["weight_average"] = std::vector{static_cast<float>(1 - std::min(options_.decay, most)), 0.0f};
}

void WeightAverage::on_step_end(Learner& learner) {
  if (!learner.skip_step) average_.update(learner.planned("weight_average"));
}

void WeightAverage::on_validate_begin(Learner&) { swap(); }

std::string WeightAverage::description() const {
  return text_of("WeightAverage: decay ", options_.decay, ", warm_up ", options_.warm_up ? "on" : "off");
}

void WeightAverage::state(StateVisitor& visitor, const Learner& learner) {
  if (!average_.defined()) average_ = AveragedWeights(*learner.model);
  average_.state(visitor);
  visitor.number("swapped", swapped_, whole_to(1));
}

}  // namespace mixgrad::train
