#include "train/accumulate.h"

#include "core/autograd.h"
#include "core/pointwise.h"
#include "train/learner.h"
#include "train/resumable.h"

namespace mixgrad::train {

AccumulateGradients::AccumulateGradients(std::int64_t batches) : batches_(batches) {
  check(batches >= 1, "accumulate: steps after every ", batches, " batches");
}

void AccumulateGradients::on_epoch_begin(Learner&) { accumulated_ = 0; }

void AccumulateGradients::on_backward_end(Learner& learner) {
  ++accumulated_;
  const bool last = learner.batch + 1 == learner.num_batches();
  if (accumulated_ < static_cast<double>(batches_) && !last) learner.skip_step = true;
  if (learner.skip_step) return;
  const NoGrad off;
  const Tensor& gradients = learner.optimizer->gradients();
  gradients.copy_(gradients * (1 / accumulated_));
  accumulated_ = 0;
}

std::string AccumulateGradients::description() const { return text_of("AccumulateGradients: batches ", batches_); }

void AccumulateGradients::state(StateVisitor& visitor, const Learner&) {
  visitor.number("accumulated", accumulated_, whole_to());
}

}  // namespace mixgrad::train
