#include "train/accumulate.h"

#include "core/autograd.h"
#include "core/pointwise.h"
#include "train/learner.h"
#include "train/state.h"

namespace mixgrad::train {

AccumulateGradients::AccumulateGradients(std::int64_t batches) : batches_(batches) {
  check(batches >= 1, "accumulate: steps after every ", batches, " batches");
}

void AccumulateGradients::on_train_begin(Learner& learner) { gradients_ = learner.optimizer->gradients(); }

void AccumulateGradients::on_epoch_begin(Learner&) { accumulated_ = 0; }

void AccumulateGradients::on_backward_end(Learner& learner) {
  ++accumulated_;
  const bool last = learner.batch + 1 == learner.data.train.num_batches();
  if (accumulated_ < static_cast<double>(batches_) && !last) learner.skip_step = true;
  if (learner.skip_step) return;
  const NoGrad off;
  gradients_.copy_(gradients_ * (1 / accumulated_));
  accumulated_ = 0;
}

void AccumulateGradients::state(StateVisitor& visitor) {
  visitor.number("accumulated", accumulated_);
  check(accumulated_ >= 0, "accumulate: gradients of ", accumulated_, " batches");
  visitor.tensor("gradients", gradients_);
}

}  // namespace mixgrad::train
