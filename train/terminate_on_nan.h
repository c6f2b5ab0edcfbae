// TerminateOnNan: ends training at the first batch whose loss is nan or infinite, with the model as it was before it,
// or after the first epoch whose validation loss is.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/tensor.h"
#include "train/callback.h"

namespace mixgrad::train {

class Snapshot;  // train/snapshot.h

struct TerminateOnNanOptions {
  // One line, if the learner is verbose: "stopped: the loss of batch 17 in epoch 3 is nan". For programs that report
  // bad() themselves: false.
  bool print = true;
};

// No step is taken for such a batch, and what its forward pass did to the model's buffers, such as batch norm's running
// mean, is undone. On the GPU losses are known some batches later, and the model goes back to where it was when they
// were last known to be finite.
class TerminateOnNan : public StepCallback {
 public:
  explicit TerminateOnNan(TerminateOnNanOptions options = {});
  ~TerminateOnNan() override;

  struct Place {
    int epoch;           // from 1
    std::int64_t batch;  // from 1; 0: it was the validation
  };
  const std::optional<Place>& bad() const { return bad_; }  // where the last fit was ended

  void on_train_begin(Learner& learner) override;
  void on_batch_begin(Learner& learner) override;
  void on_backward_begin(Learner& learner) override;
  void on_step_end(Learner& learner) override;
  void on_results(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;
  void on_epoch_end(Learner& learner) override;
  StepWork step_work() const override { return StepWork::same; }

 private:
  void stop_at(Learner& learner, std::int64_t batch, double loss);

  TerminateOnNanOptions options_;
  std::optional<Place> bad_;
  double loss_ = 0;
  std::unique_ptr<Snapshot> last_good_;   // on the GPU
  std::vector<Tensor> buffers_, before_;  // of the model, and what they were before this batch
};

}  // namespace mixgrad::train
