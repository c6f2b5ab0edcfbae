// ProfileCallback: where the time of a training run goes (core/profile.h).
//
//   learn.add(std::make_shared<train::ProfileCallback>());
#pragma once

#include <iostream>
#include <optional>

#include "core/profile.h"
#include "train/callback.h"

namespace mixgrad::train {

// Counts the kernels of each fit, its validations included, and writes the table when it ends.
class ProfileCallback : public Callback {
 public:
  // The stream must outlive the callback.
  explicit ProfileCallback(std::ostream& out = std::cout) : out_(&out) {}

  void on_train_begin(Learner&) override { profile_.emplace(); }
  void on_train_end(Learner&) noexcept override {
    if (profile_) *out_ << *profile_ << std::flush;
    profile_.reset();
  }

 private:
  std::ostream* out_;
  std::optional<Profile> profile_;
};

}  // namespace mixgrad::train
