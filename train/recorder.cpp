#include "train/recorder.h"

#include <algorithm>
#include <cstdio>

#include "core/check.h"
#include "core/profile.h"
#include "train/learner.h"
#include "train/resumable.h"

namespace mixgrad::train {
namespace {

// A column is as wide as its name, and as a figure.
int width_of(const std::string& name) { return std::max(8, static_cast<int>(name.size())); }

template <class M>
void print_names(const std::vector<M>& metrics) {
  for (const M& metric : metrics) std::printf("  %-*s", width_of(metric.name), metric.name.c_str());
}

template <class M>
void print_figures(const std::vector<M>& metrics, const std::vector<double>& figures) {
  for (std::size_t i = 0; i < metrics.size(); ++i)
    std::printf("  %-*s", width_of(metrics[i].name), with_decimals(figures[i], 6).c_str());
}

// Told in case it is not meant: a layer of one's own may have forgotten nn::parameter().
void print_frozen(nn::Module& model) {
  const std::vector<Tensor> all = nn::parameters(model);
  const auto is_frozen = [](const Tensor& parameter) { return !parameter.requires_grad(); };
  const auto frozen = std::count_if(all.begin(), all.end(), is_frozen);
  if (frozen > 0) std::fprintf(stderr, "%td of the model's %zu parameter tensors are frozen\n", frozen, all.size());
}

}  // namespace

double Recorder::smoothed_loss() const { return weight_ > 0 ? average_ / weight_ : 0; }

void Recorder::on_train_begin(Learner& learner) {
  epochs_.clear();
  average_ = weight_ = 0;
  printed_ = 0;
  obstacle_.clear();
  note_obstacle(learner);
  if (!print_) return;
  print_frozen(*learner.model);
  std::printf("%-8s  %-10s", "epoch", "train_loss");
  print_names(learner.options.train_metrics);
  std::printf("  %-10s", "valid_loss");
  print_names(learner.options.metrics);
  std::printf("  time\n");
}

void Recorder::on_epoch_begin(Learner& learner) {
  train_metrics_.assign(learner.options.train_metrics.size(), 0);
  samples_ = images_ = 0;
  epoch_start_ = Clock::now();
}

void Recorder::on_batch_plan(Learner& learner, BatchPlan&) { print_rows(learner); }

void Recorder::on_results(Learner& learner) {
  constexpr double decay = 0.98;
  for (const BatchResult& result : learner.results) {
    average_ = decay * average_ + (1 - decay) * result.loss;
    weight_ = decay * weight_ + (1 - decay);
    for (std::size_t i = 0; i < train_metrics_.size(); ++i) train_metrics_[i] += result.train_metrics[i] * result.size;
    samples_ += result.size;
    images_ += result.size;
  }
}

void Recorder::on_validate_begin(Learner&) { train_seconds_ = seconds_since(epoch_start_); }

void Recorder::on_epoch_end(Learner& learner) {
  if (!learner.validation) {
    if (print_)
      std::printf("stopped in epoch %d after batch %lld of %lld\n", learner.epoch + 1,
                  static_cast<long long>(learner.batch + 1), static_cast<long long>(learner.num_batches()));
    return;
  }
  note_obstacle(learner);
  const double seconds = seconds_since(epoch_start_);
  epochs_.push_back({.epoch = learner.epoch + 1,
                     .train_loss = smoothed_loss(),
                     .train_metrics = train_metrics_,
                     .valid_loss = learner.validation->loss,
                     .metrics = learner.validation->metrics,
                     .seconds = seconds,
                     .images_per_s = images_ / train_seconds_});
  for (double& metric : epochs_.back().train_metrics) metric /= samples_;
  print_rows(learner);
}

void Recorder::on_train_end(Learner& learner) noexcept { print_rows(learner); }

void Recorder::note_obstacle(const Learner& learner) {
  if (learner.runner().obstacle() == obstacle_) return;
  obstacle_ = learner.runner().obstacle();
  if (print_) std::fprintf(stderr, "the step is not captured as a CUDA graph: %s\n", obstacle_.c_str());
}

void Recorder::print_rows(const Learner& learner) noexcept {
  for (; print_ && printed_ < epochs_.size(); ++printed_) {
    const EpochRecord& record = epochs_[printed_];
    std::printf("%-8d  %-10s", record.epoch, with_decimals(record.train_loss, 6).c_str());
    print_figures(learner.options.train_metrics, record.train_metrics);
    std::printf("  %-10s", with_decimals(record.valid_loss, 6).c_str());
    print_figures(learner.options.metrics, record.metrics);
    const int whole = static_cast<int>(record.seconds + 0.5);
    std::printf("  %02d:%02d\n", whole / 60, whole % 60);
    std::fflush(stdout);
  }
}

void Recorder::state(StateVisitor& visitor, const Learner& learner) {
  visitor.number("average", average_, any_number);
  visitor.number("weight", weight_, {.least = 0, .most = 1});
  visitor.number("samples", samples_, whole_to());
  const std::size_t train_metrics = learner.options.train_metrics.size(), metrics = learner.options.metrics.size();
  train_metrics_.resize(train_metrics);  // it is empty before the first epoch
  const Tensor sums = Tensor::from(train_metrics_, {static_cast<std::int64_t>(train_metrics)});
  visitor.tensor("train_metrics", sums);
  train_metrics_ = sums.to_vector<double>();
  auto count = static_cast<double>(metrics);
  visitor.number("metrics", count, {.least = count, .most = count});
  // Every record as a row of numbers: epoch, train_loss, valid_loss, seconds, images_per_s, train metrics, metrics.
  constexpr std::size_t fixed = 5;
  std::vector<Range> columns(fixed + train_metrics + metrics, any_number);
  columns[0] = {.least = 1, .most = 1e6, .whole = true};
  std::vector<double> table;
  for (const EpochRecord& e : epochs_) {
    table.insert(table.end(), {static_cast<double>(e.epoch), e.train_loss, e.valid_loss, e.seconds, e.images_per_s});
    table.insert(table.end(), e.train_metrics.begin(), e.train_metrics.end());
    table.insert(table.end(), e.metrics.begin(), e.metrics.end());
  }
  visitor.numbers("epochs", table, columns);
  epochs_.clear();
  for (auto at = table.cbegin(), row = at; at != table.cend(); at = row) {
    row += std::ssize(columns);
    const auto train = at + fixed, valid = train + std::ssize(train_metrics_);
    epochs_.push_back({.epoch = static_cast<int>(at[0]),
                       .train_loss = at[1],
                       .train_metrics = {train, valid},
                       .valid_loss = at[2],
                       .metrics = {valid, row},
                       .seconds = at[3],
                       .images_per_s = at[4]});
  }
}

}  // namespace mixgrad::train
