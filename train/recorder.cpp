#include "train/recorder.h"

#include <cstdio>

#include "core/check.h"
#include "train/learner.h"
#include "train/state.h"

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
  images_ += static_cast<double>(batch_size(learner.input));
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
                     .images_per_s = images_ / train_seconds_});
  if (!print_) return;
  const EpochRecord& record = epochs_.back();
  std::printf("%-8d  %-10.6f  %-10.6f", record.epoch, record.train_loss, record.valid_loss);
  for (const double metric : record.metrics) std::printf("  %-8.6f", metric);
  const int whole = static_cast<int>(seconds + 0.5);
  std::printf("  %02d:%02d\n", whole / 60, whole % 60);
  std::fflush(stdout);
}

void Recorder::state(StateVisitor& visitor) {
  visitor.number("average", average_);
  visitor.number("weight", weight_);
  // Every record as a row of numbers: epoch, train_loss, valid_loss, seconds, images_per_s, metrics.
  constexpr std::size_t fixed = 5;
  double metrics = epochs_.empty() ? 0 : static_cast<double>(epochs_[0].metrics.size());
  std::vector<double> table;
  for (const EpochRecord& e : epochs_) {
    table.insert(table.end(), {static_cast<double>(e.epoch), e.train_loss, e.valid_loss, e.seconds, e.images_per_s});
    table.insert(table.end(), e.metrics.begin(), e.metrics.end());
  }
  visitor.number("metrics", metrics);
  visitor.numbers("epochs", table);
  check(metrics >= 0 && metrics < 1e6, "recorder: a table of ", metrics, " metrics");
  const auto row = fixed + static_cast<std::size_t>(metrics);
  check(table.size() % row == 0, "recorder: a table of ", table.size(), " numbers with ", metrics, " metrics");
  epochs_.clear();
  for (auto at = table.begin(); at != table.end(); at += static_cast<std::ptrdiff_t>(row))
    epochs_.push_back({.epoch = static_cast<int>(at[0]),
                       .train_loss = at[1],
                       .valid_loss = at[2],
                       .metrics = {at + fixed, at + static_cast<std::ptrdiff_t>(row)},
                       .seconds = at[3],
                       .images_per_s = at[4]});
}

}  // namespace mixgrad::train
