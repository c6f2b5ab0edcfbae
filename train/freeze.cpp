#include "train/freeze.h"

#include <utility>

#include "train/learner.h"

namespace mixgrad::train {

FreezeAfter::FreezeAfter(std::vector<Tensor> parameters, int epochs)
    : parameters_(std::move(parameters)), epochs_(epochs) {
  check(epochs >= 0, "freeze: after ", epochs, " epochs");
}

void FreezeAfter::on_epoch_begin(Learner& learner) {
  if (learner.epoch < epochs_) return;
  for (const Tensor& parameter : parameters_)
    if (parameter.requires_grad()) frozen_.push_back(parameter.requires_grad_(false));
}

void FreezeAfter::on_train_end(Learner&) noexcept {
  for (const Tensor& parameter : std::exchange(frozen_, {})) parameter.requires_grad_();
}

std::string FreezeAfter::description() const {
  std::string text = text_of("FreezeAfter: epochs ", epochs_, ", parameters");
  for (const Tensor& parameter : parameters_) text += text_of(" ", parameter.shape());
  return text;
}

}  // namespace mixgrad::train
