// ProfileCallback: where the time of a training run goes (core/profile.h).
//
//   learn.add(std::make_shared<train::ProfileCallback>());
#pragma once

#include <iosfwd>
#include <optional>

#include "core/profile.h"
#include "train/callback.h"

namespace mixgrad::train {

// Counts the kernels of each fit, its validations included, and writes the table when it ends.
class ProfileCallback : public Callback {
 public:
  ProfileCallback();  // to std::cout
  // The stream must outlive the callback.
  explicit ProfileCallback(std::ostream& out) : out_(&out) {}

  void on_train_begin(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;

 private:
  std::ostream* out_;
  std::optional<Profile> profile_;
};

}  // namespace mixgrad::train
