#include "train/csv_logger.h"

#include <cerrno>
#include <cstring>
#include <iomanip>

#include "core/check.h"
#include "train/learner.h"
#include "train/recorder.h"

namespace mixgrad::train {

CsvLogger::CsvLogger(std::string path, CsvOptions options)
    : path_(std::move(path)), options_(std::move(options)), file_(path_, std::ios::app) {
  flush();
}

void CsvLogger::on_train_begin(Learner& learner) {
  rows_ = 0;
  if (!std::exchange(begun_, true) && !options_.append) file_ = std::ofstream(path_);
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

void CsvLogger::write(Learner& learner) {
  const std::vector<EpochRecord>& epochs = learner.recorder->epochs();
  for (; rows_ < epochs.size(); ++rows_) {
    const EpochRecord& record = epochs[rows_];
    for (const auto& [name, value] : options_.labels) file_ << value << ',';
    file_ << std::fixed << std::setprecision(6) << record.epoch << ',' << record.train_loss;
    for (const double metric : record.train_metrics) file_ << ',' << metric;
    file_ << ',' << record.valid_loss;
    for (const double metric : record.metrics) file_ << ',' << metric;
    file_ << ',' << record.seconds << ',' << std::setprecision(0) << record.images_per_s << '\n';
  }
  flush();
}

void CsvLogger::on_train_end(Learner& learner) noexcept {
  try {
    write(learner);         // something is left only when a finished training was resumed
  } catch (const Error&) {  // reported when it was first written
  }
}

void CsvLogger::flush() {
  const bool written = file_.flush().good();
  check(written, "cannot write ", path_, errno == 0 ? "" : text_of(": ", std::strerror(errno)));
}

}  // namespace mixgrad::train
