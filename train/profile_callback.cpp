#include "train/profile_callback.h"

#include <iostream>

#include "train/learner.h"

namespace mixgrad::train {

ProfileCallback::ProfileCallback() : ProfileCallback(std::cout) {}

void ProfileCallback::on_train_begin(Learner&) { profile_.emplace(); }

void ProfileCallback::on_train_end(Learner&) noexcept {
  if (!profile_) return;
  *out_ << *profile_ << std::flush;
  profile_.reset();
}

}  // namespace mixgrad::train
