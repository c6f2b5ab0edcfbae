// The learning-rate range test (Smith, "Cyclical learning rates for training neural networks", 2015), as fastai's
// lr_find: train a few batches at a rate that grows exponentially, and look where the loss falls and where it explodes.
#pragma once

#include <vector>

namespace mixgrad::train {

class Learner;

struct LrFindOptions {
  double from = 1e-6, to = 10;
  int steps = 100;  // batches
};

struct LrCurve {
  std::vector<double> lr, loss;  // of each batch; the loss is a moving average, decay 0.9, bias-corrected
  double suggestion = 0;         // where the loss falls most steeply over log lr on its way to the minimum
};

// Ends early when the loss exceeds four times its minimum or is nan. Trains with those of the learner's callbacks
// that change what is trained, such as mixup, transforms and clipping (Learner::fit_with), though at its own learning
// rates; afterwards model, optimizer and random streams are as they were. Throws unless 0 < from < to and steps >= 20,
// and between resume() and fit().
LrCurve lr_find(Learner& learner, const LrFindOptions& options = {});

}  // namespace mixgrad::train
