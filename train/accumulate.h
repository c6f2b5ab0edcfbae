// AccumulateGradients: one step for several batches, as if they were one large batch that memory has no room for.
#pragma once

#include <cstdint>

#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

// Steps after every n-th batch, and after the last batch of an epoch, with the mean of the gradients since the last
// step: batches of equal size, a mean loss and a model without batch norm give the step of one large batch. Batches
// that are left when training is stopped within an epoch are lost.
//
// Hooks run in the order in which callbacks are added: add it before GradientClip and whatever else looks at the
// gradients of a step or at skip_step.
class AccumulateGradients : public StepCallback, public Resumable {
 public:
  // Throws unless batches >= 1.
  explicit AccumulateGradients(std::int64_t batches);

  void on_epoch_begin(Learner& learner) override;
  void on_backward_end(Learner& learner) override;
  void state(StateVisitor& visitor, const Learner& learner) override;
  std::string description() const override;
  StepWork step_work() const override { return StepWork::varies; }

 private:
  std::int64_t batches_;
  double accumulated_ = 0;  // batches since the last step
};

}  // namespace mixgrad::train
