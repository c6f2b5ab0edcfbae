#include "train/interrupt.h"

#include <csignal>

#include "train/learner.h"

namespace mixgrad::train {
namespace {

volatile std::sig_atomic_t signalled = 0;
using Handler = void (*)(int);
Handler previous = SIG_DFL;

void on_signal(int) {
  signalled = 1;
  std::signal(SIGINT, previous);
}

}  // namespace

void StopOnInterrupt::on_train_begin(Learner&) {
  signalled = 0;
  previous = std::signal(SIGINT, on_signal);
  installed_ = true;
}

void StopOnInterrupt::on_batch_end(Learner& learner) {
  if (!signalled) return;
  interrupted_ = true;
  learner.stop();
}

void StopOnInterrupt::on_train_end(Learner&) noexcept {
  if (!installed_) return;
  if (signalled) interrupted_ = true;  // it came after the last batch
  std::signal(SIGINT, previous);
  installed_ = false;
}

}  // namespace mixgrad::train
