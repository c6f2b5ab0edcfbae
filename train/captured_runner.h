// CapturedRunner (private): the step as a CUDA graph, captured once and replayed for each batch.
//
// For some batches at a time, the host makes their plans, uploads what differs from one to the next in one table, and
// then only queues the same graph again and again, whose first kernel takes the next row. Each kind of step that plans
// name has a graph and a table of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/graph.h"
#include "core/step_values.h"
#include "train/results.h"
#include "train/step_runner.h"

namespace mixgrad::train {

class CapturedRunner : public StepRunner {
 public:
  // Full batches are captured; a short last one is trained on plainly, as are all from where an obstacle turns up.
  void run(Learner& learner, const data::DataLoader::Epoch& epoch) override;

 private:
  struct Kind {
    StepTable table{cuda, BatchResults::most};
    NamedValues numbers;        // of the plans, where the table puts them
    std::uint32_t streams = 0;  // that a step takes (core/step_values.h)
    std::optional<Graph> graph;
    // What a replay computes again: whoever reads it after a batch finds that of the batch.
    augment::Input input;
    augment::Target target;
    Tensor output, loss;
  };
  std::vector<BatchPlan> plan_ahead(Learner& learner, const data::DataLoader::Epoch& epoch, std::int64_t end);
  void run_first(Learner& learner, BatchPlan plan, Kind& kind);
  void run_replayed(Learner& learner, BatchPlan plan, Kind& kind);
  void capture(Learner& learner, Kind& kind);

  std::map<std::string, Kind> kinds_;
  std::vector<bool> frozen_;  // which of the model's parameters, when the graphs were captured
};

// What the learner shows to stand in the way before a fit; empty where nothing does.
std::string obstacle_to_capture(const Learner& learner);

}  // namespace mixgrad::train
