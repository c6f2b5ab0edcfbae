#include "train/csv_logger.h"

#include <iomanip>

#include "core/check.h"
#include "train/learner.h"
#include "train/recorder.h"

namespace mixgrad::train {

CsvLogger::CsvLogger(std::string path, CsvOptions options)
    : path_(std::move(path)),
      options_(std::move(options)),
      file_(path_, options_.append ? std::ios::app : std::ios::trunc) {
  flush();
}

void CsvLogger::on_train_begin(Learner& learner) {
  rows_ = 0;
  file_.seekp(0, std::ios::end);
  if (file_.tellp() > 0) return;
  for (const auto& [name, value] : options_.labels) file_ << name << ',';
  file_ << "epoch,train_loss";
  for (const TrainMetric& metric : learner.options.train_metrics) file_ << ',' << metric.name;
  file_ << ",valid_loss";
  for (const Metric& metric : learner.options.metrics) file_ << ',' << metric.name;
  file_ << ",seconds,images_per_s\n";
  flush();
}

void CsvLogger::on_epoch_end(Learner& learner) {
  const std::vector<EpochRecord>& epochs = learner.recorder->epochs();
  if (epochs.size() == rows_) return;  // training was stopped in the middle of this one
  rows_ = epochs.size();
  const EpochRecord& last = epochs.back();
  for (const auto& [name, value] : options_.labels) file_ << value << ',';
  file_ << std::fixed << std::setprecision(6) << last.epoch << ',' << last.train_loss;
  for (const double metric : last.train_metrics) file_ << ',' << metric;
  file_ << ',' << last.valid_loss;
  for (const double metric : last.metrics) file_ << ',' << metric;
  file_ << ',' << last.seconds << ',' << std::setprecision(0) << last.images_per_s << '\n';
  flush();
}

void CsvLogger::flush() { check(file_.flush().good(), "cannot write ", path_); }

}  // namespace mixgrad::train
