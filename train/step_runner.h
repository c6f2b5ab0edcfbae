// StepRunner (private): how the steps of an epoch are run. Neither Learner nor layers know which one there is.
#pragma once

#include <memory>

#include "data/data_loader.h"
#include "train/batch_plan.h"

namespace mixgrad::train {

class Learner;

class StepRunner {
 public:
  virtual ~StepRunner() = default;
  // Trains on the batches of this epoch from learner.batch on, until they are over or training is stopped.
  virtual void run(Learner& learner, const data::DataLoader::Epoch& epoch) = 0;
};

// Each batch is planned, then trained on.
class PlainRunner : public StepRunner {
 public:
  void run(Learner& learner, const data::DataLoader::Epoch& epoch) override;
  // One batch; samples: of a dataset that is not resident.
  static void run_batch(Learner& learner, BatchPlan plan, const data::Batch* samples = nullptr);
};

// The runner of a fit: on the GPU a CapturedRunner, unless learner.why_not_captured, which it sets, says why not.
std::unique_ptr<StepRunner> make_step_runner(Learner& learner);

}  // namespace mixgrad::train
