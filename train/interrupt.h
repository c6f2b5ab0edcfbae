// StopOnInterrupt: Ctrl-C ends training after the current batch instead of ending the program. A second Ctrl-C does
// what it always did.
#pragma once

#include "train/callback.h"

namespace mixgrad::train {

class StopOnInterrupt : public Callback {
 public:
  void on_train_begin(Learner& learner) override;
  void on_batch_end(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;

  bool interrupted() const { return interrupted_; }  // whether training ended so

 private:
  bool interrupted_ = false, installed_ = false;
};

}  // namespace mixgrad::train
