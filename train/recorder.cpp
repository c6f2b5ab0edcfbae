#include "train/recorder.h"

#include <cstdio>

#include "train/learner.h"

namespace mixgrad::train {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::int64_t batch_size(const augment::Input& input) {
  const Tensor* plain = std::get_if<Tensor>(&input);
  return plain ? plain->size(0) : std::get<augment::MixedInput>(input).x.size(0);
}

}  // namespace

double Recorder::smoothed_loss() const { return weight_ > 0 ? average_ / weight_ : 0; }

void Recorder::on_train_begin(Learner& learner) {
  epochs_.clear();
  average_ = weight_ = 0;
  if (!print_) return;
  std::printf("%-8s  %-10s  %-10s", "epoch", "train_loss", "valid_loss");
  for (const Metric& metric : learner.options.metrics) std::printf("  %-8s", metric.name.c_str());
  std::printf("  time\n");
}

void Recorder::on_epoch_begin(Learner&) {
  images_ = 0;
  epoch_start_ = Clock::now();
}

void Recorder::on_batch_end(Learner& learner) {
  constexpr double decay = 0.98;
  average_ = decay * average_ + (1 - decay) * learner.loss.item();
  weight_ = decay * weight_ + (1 - decay);
  images_ += batch_size(learner.input);
}

void Recorder::on_validate_begin(Learner&) { train_seconds_ = seconds_since(epoch_start_); }

void Recorder::on_epoch_end(Learner& learner) {
  if (!learner.validation) {
    if (print_)
      std::printf("stopped in epoch %d after batch %lld of %lld\n", learner.epoch + 1,
                  static_cast<long long>(learner.batch + 1), static_cast<long long>(learner.data.train.num_batches()));
    return;
  }
  const double seconds = seconds_since(epoch_start_);
  epochs_.push_back({.epoch = learner.epoch + 1,
                     .train_loss = smoothed_loss(),
                     .valid_loss = learner.validation->loss,
                     .metrics = learner.validation->metrics,
                     .seconds = seconds,
                     .images_per_s = static_cast<double>(images_) / train_seconds_});
  if (!print_) return;
  const EpochRecord& record = epochs_.back();
  std::printf("%-8d  %-10.6f  %-10.6f", record.epoch, record.train_loss, record.valid_loss);
  for (const double metric : record.metrics) std::printf("  %-8.6f", metric);
  const int whole = static_cast<int>(seconds + 0.5);
  std::printf("  %02d:%02d\n", whole / 60, whole % 60);
  std::fflush(stdout);
}

}  // namespace mixgrad::train
