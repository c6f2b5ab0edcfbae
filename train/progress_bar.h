// ProgressBar: how far the current epoch is, on standard error. On a terminal a bar that redraws itself; elsewhere a
// plain line now and then, so that a log of a long run shows life and that of a short one stays empty.
#pragma once

#include <chrono>

#include "train/callback.h"

namespace mixgrad::train {

struct ProgressBarOptions {
  double seconds_between_redraws = 0.1;  // on a terminal
  double seconds_between_lines = 10;     // elsewhere
};

class ProgressBar : public Callback {
 public:
  explicit ProgressBar(const ProgressBarOptions& options = {});

  void on_epoch_begin(Learner& learner) override;
  void on_batch_end(Learner& learner) override;
  void on_validate_begin(Learner& learner) override;
  void on_epoch_end(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;

 private:
  using Clock = std::chrono::steady_clock;
  void draw(const Learner& learner, double elapsed) const;
  void erase() noexcept;

  bool terminal_;
  double interval_;
  bool drawn_ = false;
  double seen_ = 0;  // batches of this epoch since it was begun or resumed
  Clock::time_point epoch_start_, last_drawn_;
};

}  // namespace mixgrad::train
