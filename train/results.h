// BatchResults: the loss and train metrics of each batch, which the device computes and the host reads some batches
// later.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "core/step_values.h"

namespace mixgrad::train {

// What is known of a training batch once it is over.
struct BatchResult {
  std::int64_t batch = 0;  // of its epoch, from 0
  double size = 0;
  double loss = 0;
  std::vector<double> train_metrics = {};
};

class BatchResults {
 public:
  static constexpr std::int64_t most = 64;  // batches that can wait to be read

  BatchResults(Device device, std::int64_t metrics) : metrics_(metrics), rows_(device, 1 + metrics, most) {}
  void append(const std::vector<Tensor>& loss_and_metrics) { rows_.append(loss_and_metrics); }  // part of the step
  void add_batch(std::int64_t batch, std::int64_t size) {
    waiting_.push_back({.batch = batch, .size = static_cast<double>(size)});
  }
  std::int64_t waiting() const { return std::ssize(waiting_); }
  // Those that wait, oldest first; waits for the device.
  std::vector<BatchResult> read() {
    const std::vector<double> values = rows_.take();
    auto next = values.begin();
    for (BatchResult& result : waiting_) {
      result.loss = *next++;
      result.train_metrics.assign(next, next + metrics_);
      next += metrics_;
    }
    return std::exchange(waiting_, {});
  }
  void clear() {
    waiting_.clear();
    rows_.take();
  }

 private:
  std::ptrdiff_t metrics_;
  Series rows_;
  std::vector<BatchResult> waiting_;
};

}  // namespace mixgrad::train
