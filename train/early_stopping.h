// EarlyStopping: ends training when the validation gets no better.
//
//   learn.add(std::make_shared<train::EarlyStopping>(train::EarlyStoppingOptions{.patience = 5}));
#pragma once

#include "train/callback.h"
#include "train/monitor.h"
#include "train/resumable.h"

namespace mixgrad::train {

struct EarlyStoppingOptions {
  Monitor monitor = {};
  int patience = 3;      // epochs in a row without improvement after which training ends
  double min_delta = 0;  // what is better by no more than this is not an improvement
};

class EarlyStopping : public Callback, public Resumable {
 public:
  // Throws unless patience >= 1 and min_delta >= 0.
  explicit EarlyStopping(EarlyStoppingOptions options = {});

  void on_train_begin(Learner& learner) override;  // throws when the monitor's name is unknown
  void on_epoch_end(Learner& learner) override;
  void state(StateVisitor& visitor, const Learner& learner) override;

 private:
  EarlyStoppingOptions options_;
  double best_ = 0, waited_ = 0;  // of this fit; epochs since the best one
};

}  // namespace mixgrad::train
