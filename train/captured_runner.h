// CapturedRunner (private): the step as a CUDA graph, captured once and replayed for each batch.
//
// For some batches at a time, the host makes their plans, uploads what differs from one to the next in one table, and
// then only queues the same graph again and again, whose first kernel takes the next row.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "augment/mixup.h"
#include "core/graph.h"
#include "core/step_table.h"
#include "train/step_runner.h"

namespace mixgrad::train {

class CapturedRunner : public StepRunner {
 public:
  explicit CapturedRunner(Device device) : table_(device, most_ahead) {}
  // Full batches are captured; a short last one is trained on plainly, as are all where the step cannot be captured:
  // learner.why_not_captured says why.
  void run(Learner& learner, const data::DataLoader::Epoch& epoch) override;

 private:
  void run_rows(Learner& learner, const data::DataLoader::Epoch& epoch, std::int64_t end);
  bool capture(Learner& learner);

  StepTable table_;
  NamedValues values_;          // of the plans, where the table puts them
  std::uint32_t dropouts_ = 0;  // calls of dropout in a step
  // What a replay computes again: whoever reads it after a batch finds that of the batch.
  Tensor output_, loss_;
  augment::Input input_;
  augment::Target target_;
  std::optional<Graph> graph_;  // none before the first step has been trained plainly
  std::vector<bool> frozen_;    // which of the model's parameters, when the graph was captured
};

// Why the steps of a fit cannot be captured; empty where they can, or on the CPU.
std::string obstacle_to_capture(const Learner& learner);

}  // namespace mixgrad::train
