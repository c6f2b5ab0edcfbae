// What must be kept to go on with training later as if it had never stopped: named once, for saving and for loading.
#pragma once

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "train/callback.h"

namespace mixgrad::train {

// The numbers from `least` to `most`; nan is among them only where `nan` says so.
struct Range {
  double least = -std::numeric_limits<double>::infinity(), most = std::numeric_limits<double>::infinity();
  bool whole = false, nan = false;

  bool contains(double value) const {
    return std::isnan(value) ? nan : least <= value && value <= most && (!whole || std::floor(value) == value);
  }
};
inline constexpr Range any_number{.nan = true}, not_nan{};
// 0, 1, ..., most; up to 2^53 they stay exact.
constexpr Range whole_to(double most = 9007199254740992) { return {.least = 0, .most = most, .whole = true}; }

// What a callback's state() reports to. Saving reads what it is given. Loading first checks all of it, for all
// callbacks, against the file, and changes nothing; a second visit then writes it. So state() has nothing to check
// itself.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual void number(const std::string& name, double& value, const Range& range) = 0;
  // A table of any number of rows, one after the other, with these columns.
  virtual void numbers(const std::string& name, std::vector<double>& values, const std::vector<Range>& columns) = 0;
  virtual void tensor(const std::string& name, const Tensor& tensor) = 0;  // of fixed shape and dtype, any values
};

// A callback that a checkpoint must know of is Resumable, too.
class Resumable {
 public:
  virtual ~Resumable() = default;
  // How it changes training, with all options that matter to it, as text; empty where it changes nothing, such as
  // printing. A checkpoint is resumed only where all callbacks describe themselves as they did then.
  virtual std::string description() const { return {}; }
  // Names what must be kept: all that on_train_begin and on_epoch_begin reset and later hooks go on from. When training
  // is resumed, it is checked at once, and loaded after those two.
  virtual void state(StateVisitor&, const Learner&) {}
  // The parameters that it has frozen by itself: a training that is resumed need not have frozen them before.
  virtual std::vector<Tensor> frozen() const { return {}; }
};

// Empty where it is not Resumable.
inline std::string description_of(const Callback& callback) {
  const auto* const resumable = dynamic_cast<const Resumable*>(&callback);
  return resumable ? resumable->description() : std::string();
}

}  // namespace mixgrad::train
