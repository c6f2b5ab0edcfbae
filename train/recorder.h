// Recorder: keeps the results of each epoch and prints the document's table of them.
//
//   epoch     train_loss  valid_loss  accuracy  time
//   1         0.345712    0.143370    0.956820  00:00
//
// The learner's train_metrics, if any, stand behind train_loss. Training that is resumed prints the rows of before too.
#pragma once

#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

struct EpochRecord {
  int epoch = 0;          // from 1
  double train_loss = 0;  // moving average of the batches' losses over the whole fit, decay 0.98, bias-corrected
  std::vector<double> train_metrics;  // means over the epoch's training images, while the model was changing
  double valid_loss = 0;
  std::vector<double> metrics;
  double seconds = 0;       // of training and validation
  double images_per_s = 0;  // of training alone
};

class Recorder : public Callback, public Resumable {
 public:
  explicit Recorder(bool print = true) : print_(print) {}

  const std::vector<EpochRecord>& epochs() const { return epochs_; }  // of the last fit
  double smoothed_loss() const;                                       // so far
  const std::string& obstacle() const { return obstacle_; }           // to capturing the steps of the last fit

  void on_train_begin(Learner& learner) override;
  void on_epoch_begin(Learner& learner) override;
  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  void on_results(Learner& learner) override;
  void on_validate_begin(Learner& learner) override;
  void on_epoch_end(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;
  void state(StateVisitor& visitor, const Learner& learner) override;

 private:
  void note_obstacle(const Learner& learner);
  void print_rows(const Learner& learner) noexcept;  // not printed yet: after a resume, those of before too

  using Clock = std::chrono::steady_clock;

  bool print_;
  std::size_t printed_ = 0;  // rows of this fit
  std::string obstacle_;
  std::vector<EpochRecord> epochs_;
  double average_ = 0, weight_ = 0;    // of the moving average: the sum and what it would be for a loss of 1
  std::vector<double> train_metrics_;  // of this epoch: each batch's times its size
  double samples_ = 0;                 // in those sums
  double images_ = 0;                  // of this epoch, since it was begun or resumed
  Clock::time_point epoch_start_;
  double train_seconds_ = 0;
};

}  // namespace mixgrad::train
