// What the Learner keeps while it replays its step as a CUDA graph (private).
//
// For an epoch at a time, the host decides what differs from batch to batch: the numbers of its samples, what callbacks
// put in on_batch_plan, the optimizer's coefficients, the number of the step's first call of dropout. It uploads all of
// that in one table, and then only queues the same graph again and again, whose first kernel takes the next row.
#pragma once

#include <cstdint>
#include <optional>

#include "core/graph.h"
#include "core/step_table.h"
#include "train/learner.h"

namespace mixgrad::train {

struct Learner::Captured {
  explicit Captured(const Learner& learner) : table(learner.options.device, learner.data.train.num_batches()) {}

  StepTable table;
  bool planning = false;       // what is put goes to the table
  bool capturing = false;      // the step takes its coefficients from the table
  Tensor coefficients;         // of the optimizer
  Tensor first_dropout;        // i32 [1]
  std::uint32_t dropouts = 0;  // calls of dropout in a step
  std::optional<Graph> graph;  // none before the first step has been trained plainly
};

}  // namespace mixgrad::train
