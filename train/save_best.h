// SaveBest: keeps the weights of the best epoch in a file.
#pragma once

#include <string>

#include "train/callback.h"
#include "train/monitor.h"
#include "train/resumable.h"

namespace mixgrad::train {

// After every epoch that is better than all before it, those of earlier fits too, replaces the file by the model's
// weights (nn/weights.h: save_weights). An error while writing leaves the last file intact.
class SaveBest : public Callback, public Resumable {
 public:
  explicit SaveBest(std::string path, Monitor monitor = {});

  double best() const { return best_; }  // the monitored value of the weights in the file; infinite before any

  void on_train_begin(Learner& learner) override;  // throws when the monitor's name is unknown
  void on_epoch_end(Learner& learner) override;
  void state(StateVisitor& visitor, const Learner& learner) override;

 private:
  std::string path_;
  Monitor monitor_;
  double best_;
};

}  // namespace mixgrad::train
