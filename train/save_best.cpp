#include "train/save_best.h"

#include "nn/weights.h"
#include "train/learner.h"
#include "train/resumable.h"

namespace mixgrad::train {

SaveBest::SaveBest(std::string path, Monitor monitor)
    : path_(std::move(path)), monitor_(std::move(monitor)), best_(monitor_.worst()) {}

void SaveBest::on_train_begin(Learner& learner) { monitor_.check_name(learner); }

void SaveBest::on_epoch_end(Learner& learner) {
  if (!learner.validation) return;
  const double value = monitor_.value(learner);
  if (!monitor_.improves(value, best_)) return;
  nn::save_weights(*learner.model, path_);
  best_ = value;
}

void SaveBest::state(StateVisitor& visitor, const Learner&) { visitor.number("best", best_, not_nan); }

}  // namespace mixgrad::train
