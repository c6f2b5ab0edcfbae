#include "train/lookahead.h"

#include <utility>

#include "train/learner.h"

namespace mixgrad::train {

Lookahead::Lookahead(LookaheadOptions options) : options_(std::move(options)) {
  check(options_.every >= 1 && options_.first_epoch >= 0, "lookahead: every ", options_.every, " batches from epoch ",
        options_.first_epoch, " on");
}

void Lookahead::on_train_begin(Learner& learner) { slow_ = AveragedWeights(*learner.model); }

void Lookahead::on_batch_plan(Learner& learner, BatchPlan& plan) {
  const std::int64_t done = learner.epoch * learner.data.train.num_batches() + plan.batch + 1;
  const bool is_last = plan.batch + 1 == learner.num_batches();
  float rate = 0, back = 0;
  if (learner.epoch >= options_.first_epoch) {
    if (done % options_.every == 0) {
      const double d = options_.decay(static_cast<double>(done) / static_cast<double>(learner.total_batches()));
      check(d >= 0 && d < 1, "lookahead: a decay of ", d);
      rate = static_cast<float>(1 - d);
    }
    back = rate > 0 || is_last;
  } else if (is_last) {
    rate = 1;
  }
  plan.values["lookahead"] = std::vector{rate, back};
}

void Lookahead::on_step_end(Learner& learner) {
  if (!learner.skip_step) slow_.update(learner.planned("lookahead"));
}

std::string Lookahead::description() const {
  std::string text = text_of("Lookahead: every ", options_.every, ", first_epoch ", options_.first_epoch, ", decay");
  for (int tenths = 0; tenths < 10; ++tenths) text += text_of(" ", options_.decay(tenths / 10.0));
  return text;
}

void Lookahead::state(StateVisitor& visitor, const Learner& learner) {
  if (!slow_.defined()) slow_ = AveragedWeights(*learner.model);
  slow_.state(visitor);
}

}  // namespace mixgrad::train
