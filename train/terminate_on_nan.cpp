#include "train/terminate_on_nan.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "core/check.h"
#include "train/learner.h"

namespace mixgrad::train {

void TerminateOnNan::on_train_begin(Learner& learner) {
  bad_.reset();
  buffers_.clear();
  before_.clear();
  for (const NamedTensor& buffer : nn::named_buffers(*learner.model)) {
    buffers_.push_back(buffer.tensor);
    before_.push_back(buffer.tensor.clone());
  }
}

void TerminateOnNan::on_batch_begin(Learner&) {
  for (std::size_t i = 0; i < buffers_.size(); ++i) before_[i].copy_(buffers_[i]);
}

void TerminateOnNan::on_backward_begin(Learner& learner) {
  loss_ = learner.loss.item();
  if (std::isfinite(loss_)) return;
  bad_ = {learner.epoch + 1, learner.batch + 1};
  learner.skip_step = true;
  learner.stop();
}

void TerminateOnNan::on_step_end(Learner&) {
  if (!bad_) return;
  for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].copy_(before_[i]);
}

void TerminateOnNan::on_epoch_end(Learner& learner) {
  if (learner.validation && !std::isfinite(learner.validation->loss)) {
    loss_ = learner.validation->loss;
    bad_ = {learner.epoch + 1, 0};
    learner.stop();
  }
  if (!bad_ || !learner.options.verbose) return;
  const std::string where = bad_->batch > 0 ? text_of("loss of batch ", bad_->batch, " in") : "validation loss of";
  std::printf("stopped: the %s epoch %d is %s\n", where.c_str(), bad_->epoch, std::isnan(loss_) ? "nan" : "infinite");
}

}  // namespace mixgrad::train
