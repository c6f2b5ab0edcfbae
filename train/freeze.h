// FreezeAfter: parameters that are trained for some epochs only, as a whitening's bias is in airbench (Jordan, "94% on
// CIFAR-10 in 3.29 seconds on a single GPU", 2024).
#pragma once

#include <vector>

#include "core/tensor.h"
#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

// From epoch `epochs` of a fit on, 0 being its first, freezes those of the parameters that are not (README.md says what
// that holds); when training ends they are unfrozen, and a further fit does the same again.
class FreezeAfter : public Callback, public Resumable {
 public:
  FreezeAfter(std::vector<Tensor> parameters, int epochs);  // throws unless epochs >= 0

  void on_epoch_begin(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;
  std::string description() const override;
  std::vector<Tensor> frozen() const override { return frozen_; }

 private:
  std::vector<Tensor> parameters_, frozen_;
  int epochs_;
};

}  // namespace mixgrad::train
