// GradientClip: keeps one batch with huge gradients from throwing the model far off (Pascanu, Mikolov and Bengio, "On
// the difficulty of training recurrent neural networks", 2013).
#pragma once

#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

// Before each step: g *= max_norm / |g| where |g|, the L2 norm of all gradients together, is larger than max_norm.
// Gradients that are not finite stay as they are. Hooks run in the order in which callbacks are added: add it after
// AccumulateGradients, so that it clips the gradients of the step.
class GradientClip : public StepCallback, public Resumable {
 public:
  // Throws unless max_norm > 0.
  explicit GradientClip(double max_norm);

  void on_backward_end(Learner& learner) override;
  std::string description() const override;
  StepWork step_work() const override { return StepWork::same; }

 private:
  double max_norm_;
};

}  // namespace mixgrad::train
