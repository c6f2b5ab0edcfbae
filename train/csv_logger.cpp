#include "train/csv_logger.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>

#include "core/check.h"
#include "train/learner.h"
#include "train/recorder.h"

namespace mixgrad::train {
namespace {

// A field as RFC 4180 has it: in quotes where it holds a comma, a quote or a line end, and quotes inside are doubled.
std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string field = "\"";
  for (const char c : text) field += c == '"' ? "\"\"" : std::string(1, c);
  return field + '"';
}

std::string joined(const std::vector<std::string>& fields) {
  std::string row;
  for (const std::string& field : fields) row += quoted(field) + ',';
  row.back() = '\n';
  return row;
}

// Whether the file can be written, without making it.
bool can_write(const std::string& path) {
  std::error_code ignored;
  errno = path.empty() || path.ends_with('/') ? EISDIR : 0;
  if (errno != 0) return false;
  if (std::filesystem::exists(path, ignored)) return std::ofstream(path, std::ios::app).is_open();
  return access((std::filesystem::path(path).parent_path() / ".").c_str(), W_OK | X_OK) == 0;
}

}  // namespace

CsvLogger::CsvLogger(std::string path, CsvOptions options) : path_(std::move(path)), options_(std::move(options)) {
  const bool can = can_write(path_);
  check(can, "cannot write ", path_, ": ", std::strerror(errno));
}

void CsvLogger::on_train_begin(Learner&) { rows_ = 0; }

void CsvLogger::begin(const Learner& learner) {
  if (file_.is_open()) return;
  std::error_code error;
  const bool empty = !options_.append || std::filesystem::file_size(path_, error) == 0 || error;
  file_.open(path_, options_.append ? std::ios::app : std::ios::trunc);
  if (empty) {
    std::vector<std::string> names;
    for (const auto& [name, value] : options_.labels) names.push_back(name);
    names.insert(names.end(), {"epoch", "train_loss"});
    for (const TrainMetric& metric : learner.options.train_metrics) names.push_back(metric.name);
    names.push_back("valid_loss");
    for (const Metric& metric : learner.options.metrics) names.push_back(metric.name);
    names.insert(names.end(), {"seconds", "images_per_s"});
    file_ << joined(names);
  }
  flush();
}

void CsvLogger::write(const Learner& learner) {
  begin(learner);
  const std::vector<EpochRecord>& epochs = learner.recorder->epochs();
  for (; rows_ < epochs.size(); ++rows_) {
    const EpochRecord& record = epochs[rows_];
    std::vector<std::string> fields;
    const auto add = [&](double value) { fields.push_back(with_decimals(value, 6)); };
    for (const auto& [name, value] : options_.labels) fields.push_back(value);
    fields.push_back(std::to_string(record.epoch));
    add(record.train_loss);
    for (const double metric : record.train_metrics) add(metric);
    add(record.valid_loss);
    for (const double metric : record.metrics) add(metric);
    add(record.seconds);
    fields.push_back(with_decimals(record.images_per_s, 0));
    file_ << joined(fields);
    flush();
  }
}

void CsvLogger::on_train_end(Learner& learner) noexcept {
  if (std::uncaught_exceptions() > 0) return;  // training may not even have begun
  try {
    write(learner);         // something is left only where there was no epoch: a finished training was resumed, say
  } catch (const Error&) {  // reported when it was first written
  }
}

void CsvLogger::flush() {
  errno = 0;
  const bool written = file_.flush().good();
  check(written, "cannot write ", path_, errno == 0 ? "" : text_of(": ", std::strerror(errno)));
}

}  // namespace mixgrad::train
