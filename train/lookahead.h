// Lookahead (Zhang, Lucas, Hinton and Ba, "Lookahead optimizer: k steps forward, 1 step back", 2019), over all weights
// and buffers, as airbench has it (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024).
#pragma once

#include "train/average.h"
#include "train/callback.h"
#include "train/schedule.h"

namespace mixgrad::train {

struct LookaheadOptions {
  std::int64_t every = 5;  // batches
  // d, at the share of training that is done: in 0..1, below 1.
  Schedule decay = [](double progress) { return 0.7737809375 * progress * progress * progress; };  // .95^5
  int first_epoch = 0;
};

// Behind those weights that are trained, the fast ones, others follow slowly:
//
//   slow += (1 - d) (fast - slow), then fast = slow   after every `every`-th batch of training, counted from its first
//   fast = slow                                       after each epoch's last batch, so that slow ones are validated
//
// from first_epoch on; slow begins as the weights are then.
class Lookahead : public StepCallback, public Resumable {
 public:
  explicit Lookahead(LookaheadOptions options = {});  // throws unless every >= 1 and first_epoch >= 0

  void on_train_begin(Learner& learner) override;
  void on_batch_plan(Learner& learner, BatchPlan& plan) override;  // throws unless 0 <= d < 1
  void on_step_end(Learner& learner) override;
  std::string description() const override;
  void state(StateVisitor& visitor, const Learner& learner) override;
  StepWork step_work() const override { return StepWork::same; }

 private:
  LookaheadOptions options_;
  AveragedWeights slow_;
};

}  // namespace mixgrad::train
