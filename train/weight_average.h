// WeightAverage: a running average of the weights, which is often better than they are (Polyak and Juditsky,
// "Acceleration of stochastic approximation by averaging", 1992; Izmailov et al., "Averaging weights leads to wider
// optima and better generalization", 2018).
#pragma once

#include "train/average.h"
#include "train/callback.h"

namespace mixgrad::train {

struct WeightAverageOptions {
  double decay = 0.999;
  bool warm_up = false;  // min(decay, (1 + t) / (10 + t)) instead, with the t batches trained on before
};

// average = decay average + (1 - decay) weights, buffers too, after every step; it begins as the weights are.
//
// The model has the average, and the callback the weights, from each validation until the next epoch begins: so the
// average is what is validated, what SaveBest saves, and what a training that ended after an epoch leaves. One that was
// stopped within an epoch leaves the weights. A further fit, lr_find too, goes on from what is there and begins a new
// average. Add it after Lookahead.
class WeightAverage : public StepCallback, public Resumable {
 public:
  explicit WeightAverage(const WeightAverageOptions& options = {});  // throws unless 0 <= decay < 1

  void swap();                                        // after a fit: gives the model the other ones; throws before any
  bool has_average() const { return swapped_ != 0; }  // the model

  void on_train_begin(Learner& learner) override;
  void on_epoch_begin(Learner& learner) override;
  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  void on_step_end(Learner& learner) override;
  void on_validate_begin(Learner& learner) override;
  std::string description() const override;
  void state(StateVisitor& visitor, const Learner& learner) override;
  StepWork step_work() const override { return StepWork::same; }

 private:
  WeightAverageOptions options_;
  AveragedWeights average_;
  double swapped_ = 0;
};

}  // namespace mixgrad::train
