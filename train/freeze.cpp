#include "train/freeze.h"

#include <cmath>
#include <utility>

#include "train/learner.h"

namespace mixgrad::train {

FreezeAfter::FreezeAfter(std::vector<Tensor> parameters, double epochs)
    : parameters_(std::move(parameters)), epochs_(epochs), name_(text_of("frozen after ", epochs)) {
  check(epochs >= 0 && std::isfinite(epochs), "freeze: after ", epochs, " epochs");
}

void FreezeAfter::on_batch_plan(Learner& learner, BatchPlan& plan) {
  const data::DataLoader& loader = learner.data.train;
  if (learner.epoch * loader.num_batches() + plan.batch >= loader.batches_in(epochs_))
    plan.values[name_] = std::vector{1.0f};
}

void FreezeAfter::on_batch_begin(Learner& learner) {
  if (!learner.plan.values.contains(name_)) return;
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
