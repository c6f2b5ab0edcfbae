// Monitor: the figure of a validation by which a callback judges an epoch, and which way is better.
#pragma once

#include <string>

namespace mixgrad::train {

class Learner;

enum class Better { lower, higher };

struct Monitor {
  std::string quantity = "valid_loss";  // or the name of one of the learner's metrics
  Better better = Better::lower;

  // Throws an error that lists the names there are unless `quantity` is one of them.
  void check_name(const Learner& learner) const;
  // Its value in learner.validation, which must be set.
  double value(const Learner& learner) const;
  // Whether a value is better than the best one by more than min_delta; nan never is.
  bool improves(double value, double best, double min_delta = 0) const;
  double worst() const;  // infinity, or minus infinity: every finite value improves on it
};

}  // namespace mixgrad::train
