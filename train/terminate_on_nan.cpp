#include "train/terminate_on_nan.h"

#include <cmath>
#include <cstdio>
#include <string>

#include "core/check.h"
#include "train/snapshot.h"

namespace mixgrad::train {

TerminateOnNan::TerminateOnNan(TerminateOnNanOptions options) : options_(options) {}
TerminateOnNan::~TerminateOnNan() = default;

void TerminateOnNan::on_train_begin(Learner& learner) {
  bad_.reset();
  buffers_.clear();
  before_.clear();
  if (learner.options.device != cpu) {
    last_good_ = std::make_unique<Snapshot>(learner);
    return;
  }
  for (const NamedTensor& buffer : nn::named_buffers(*learner.model)) {
    buffers_.push_back(buffer.tensor);
    before_.push_back(buffer.tensor.clone());
  }
}

void TerminateOnNan::stop_at(Learner& learner, std::int64_t batch, double loss) {
  loss_ = loss;
  bad_ = {learner.epoch + 1, batch};
  learner.stop();
}

void TerminateOnNan::on_batch_begin(Learner&) {
  for (std::size_t i = 0; i < buffers_.size(); ++i) before_[i].copy_(buffers_[i]);
}

void TerminateOnNan::on_backward_begin(Learner& learner) {
  if (last_good_) return;
  const double loss = learner.loss.item();
  if (std::isfinite(loss)) return;
  stop_at(learner, learner.batch + 1, loss);
  learner.skip_step = true;
}

void TerminateOnNan::on_step_end(Learner&) {
  if (!bad_) return;
  for (std::size_t i = 0; i < buffers_.size(); ++i) buffers_[i].copy_(before_[i]);
}

void TerminateOnNan::on_results(Learner& learner) {
  if (!last_good_ || bad_) return;
  for (const BatchResult& result : learner.results)
    if (!std::isfinite(result.loss)) {
      stop_at(learner, result.batch + 1, result.loss);
      return last_good_->restore();
    }
  last_good_->take();
}

void TerminateOnNan::on_train_end(Learner&) noexcept { last_good_.reset(); }

void TerminateOnNan::on_epoch_end(Learner& learner) {
  if (learner.validation && !std::isfinite(learner.validation->loss)) {
    stop_at(learner, 0, learner.validation->loss);
  }
  if (!bad_ || !options_.print || !learner.options.verbose) return;
  const std::string where = bad_->batch > 0 ? text_of("loss of batch ", bad_->batch, " in") : "validation loss of";
  std::printf("stopped: the %s epoch %d is %s\n", where.c_str(), bad_->epoch, std::isnan(loss_) ? "nan" : "infinite");
}

}  // namespace mixgrad::train
