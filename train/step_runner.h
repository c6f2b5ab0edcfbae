// StepRunner: how the steps of an epoch are run. Neither Learner nor layers know which one there is.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "data/data_loader.h"
#include "train/batch_plan.h"

namespace mixgrad::train {

class Learner;

class StepRunner {
 public:
  explicit StepRunner(std::string obstacle = {}) : obstacle_(std::move(obstacle)) {}
  virtual ~StepRunner() = default;
  // Trains on the batches of this epoch from learner.batch on, until they are over or training is stopped.
  virtual void run(Learner& learner, const data::DataLoader::Epoch& epoch) = 0;
  // What keeps it from capturing the steps as a CUDA graph; empty where nothing does, or nobody asked for it.
  const std::string& obstacle() const { return obstacle_; }

 protected:
  std::string obstacle_;
};

// Each batch is planned, then trained on.
class PlainRunner : public StepRunner {
 public:
  using StepRunner::StepRunner;
  void run(Learner& learner, const data::DataLoader::Epoch& epoch) override;
  // One batch; samples: of a dataset that is not resident.
  static void run_batch(Learner& learner, BatchPlan plan, const data::Batch* samples = nullptr);
};

// Makes the runner of a fit.
using MakeStepRunner = std::function<std::unique_ptr<StepRunner>(const Learner& learner)>;
std::unique_ptr<StepRunner> plain_runner(const Learner& learner);
// On the GPU a CapturedRunner, unless there is an obstacle.
std::unique_ptr<StepRunner> fastest_runner(const Learner& learner);

}  // namespace mixgrad::train
