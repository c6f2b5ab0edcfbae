#include "train/early_stopping.h"

#include <cstdio>

#include "train/learner.h"
#include "train/resumable.h"

namespace mixgrad::train {

EarlyStopping::EarlyStopping(EarlyStoppingOptions options) : options_(std::move(options)) {
  check(options_.patience >= 1, "early stopping: a patience of ", options_.patience, " epochs");
  check(options_.min_delta >= 0, "early stopping: a min_delta of ", options_.min_delta);
}

void EarlyStopping::on_train_begin(Learner& learner) {
  options_.monitor.check_name(learner);
  best_ = options_.monitor.worst();
  waited_ = 0;
}

void EarlyStopping::on_epoch_end(Learner& learner) {
  if (!learner.validation) return;
  const double value = options_.monitor.value(learner);
  if (options_.monitor.improves(value, best_, options_.min_delta)) {
    best_ = value;
    waited_ = 0;
  } else if (++waited_ >= options_.patience) {
    learner.stop();
    if (learner.options.verbose)
      std::printf("stopped: %s has not improved for %d epochs\n", options_.monitor.quantity.c_str(), options_.patience);
  }
}

void EarlyStopping::state(StateVisitor& visitor, const Learner&) {
  visitor.number("best", best_, not_nan);
  visitor.number("waited", waited_, whole_to());
}

}  // namespace mixgrad::train
