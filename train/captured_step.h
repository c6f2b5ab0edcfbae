// What the Learner keeps while it replays its step as a CUDA graph (private).
//
// For some batches at a time, the host decides what differs from one to the next: the numbers of its samples, what
// callbacks put in on_batch_plan, the optimizer's coefficients, the number of the step's first call of dropout. It
// uploads all of that in one table, and then only queues the same graph again and again, whose first kernel takes the
// next row.
#pragma once

#include <cstdint>
#include <optional>

#include "core/graph.h"
#include "core/step_table.h"
#include "train/learner.h"

namespace mixgrad::train {

// How many batches the host is ahead of the GPU at most: so many are planned at a time, and so many batches' figures
// the GPU keeps before the host waits for it.
inline constexpr std::int64_t most_ahead = 64;

struct Learner::Captured {
  explicit Captured(Device device) : table(device, most_ahead) {}

  StepTable table;
  bool planning = false;       // what is put goes to the table
  bool capturing = false;      // the step takes its coefficients from the table
  Tensor coefficients;         // of the optimizer
  Tensor first_dropout;        // i32 [1]
  std::uint32_t dropouts = 0;  // calls of dropout in a step
  std::optional<Graph> graph;  // none before the first step has been trained plainly
};

}  // namespace mixgrad::train
