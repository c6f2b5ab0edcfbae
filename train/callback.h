// Callback: whatever a training run does besides training. Each hook is given the Learner, whose public state it may
// read and change (train/learner.h). Hooks run in the order in which callbacks were added:
//
//   on_train_begin
//     on_epoch_begin
//       on_batch_plan         what the host decides for a batch: the learning rate, mixup's draw
//         on_batch_begin      input and target are set: gathered, transformed and mixed, as the plan says
//         on_loss_begin       output is set
//         on_backward_begin   loss is set
//         on_backward_end     gradients are set
//         on_step_end         parameters are updated
//       on_results            losses are known: of this batch, or on the GPU of some at a time
//       on_batch_end
//       on_save_point         all callbacks are done with the batch
//     on_validate_begin
//     on_epoch_end            validation is set, unless the run was stopped in this epoch
//   on_train_end              in reverse order: what was put on last comes off first
//
// Those from on_batch_begin to on_step_end are hooks of the step, which a StepCallback has besides. On the GPU the step
// may be captured as a CUDA graph and replayed: then they run once, while it is captured, and on_batch_plan runs for up
// to 64 batches before the first of them is trained on. The hooks of the host are always run; what they freeze or
// unfreeze between epochs is captured again, all else that makes the step another one belongs into on_train_begin.
//
// What a checkpoint must keep of a callback is told by train/resumable.h.
#pragma once

#include "train/batch_plan.h"

namespace mixgrad::train {

class Learner;

class Callback {
 public:
  virtual ~Callback() = default;
  virtual void on_train_begin(Learner&) {}
  virtual void on_epoch_begin(Learner&) {}
  virtual void on_batch_plan(Learner&, BatchPlan&) {}
  virtual void on_results(Learner&) {}
  virtual void on_batch_end(Learner&) {}
  virtual void on_save_point(Learner&) {}
  virtual void on_validate_begin(Learner&) {}
  virtual void on_epoch_end(Learner&) {}
  // Runs for every callback however training ends, even when its on_train_begin was never reached: whatever a callback
  // took hold of, it lets go of here. noexcept, because it also runs while an exception passes.
  virtual void on_train_end(Learner&) noexcept {}
};

// What the hooks of a step queue on the device.
enum class StepWork {
  same,    // for every batch, on the same tensors; what differs is taken from Learner::planned
  varies,  // or it depends on values that the host reads: the step is not captured
};

class StepCallback : public Callback {
 public:
  virtual void on_batch_begin(Learner&) {}
  virtual void on_loss_begin(Learner&) {}
  virtual void on_backward_begin(Learner&) {}
  virtual void on_backward_end(Learner&) {}
  virtual void on_step_end(Learner&) {}
  // Where one callback's work varies, the GPU is given each kernel by itself, and the table says why.
  virtual StepWork step_work() const = 0;
};

}  // namespace mixgrad::train
