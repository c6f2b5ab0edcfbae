// FreezeAfter: parameters that are trained for some epochs only, as a whitening's bias is in airbench (Jordan, "94% on
// CIFAR-10 in 3.29 seconds on a single GPU", 2024).
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"
#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

// After so many epochs of a fit, or parts of one, rounded up to batches, freezes those of the parameters that are still
// trained (README.md: what freezing does); when training ends they are unfrozen, and a further fit does the same again.
class FreezeAfter : public StepCallback, public Resumable {
 public:
  FreezeAfter(std::vector<Tensor> parameters, double epochs);  // throws unless epochs is finite and not negative

  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  void on_batch_begin(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;
  std::string description() const override;
  std::vector<Tensor> frozen() const override { return frozen_; }
  StepWork step_work() const override { return StepWork::same; }  // a kind of its own from there on

 private:
  std::vector<Tensor> parameters_, frozen_;
  double epochs_;
  std::string name_;  // of the value by which a plan tells that they are frozen
};

}  // namespace mixgrad::train
