// Prefetch: batches read ahead by worker threads and returned in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "data/dataset.h"

namespace mixgrad::data {

// Worker threads call read(0), ..., read(count - 1) in this order, each batch once, several concurrently, and at most 2
// * workers batches beyond the last one requested: memory is bounded. They are SingleThreaded (core/parallel.h).
//
// Since each batch is determined by its index, the result does not depend on the number of workers.
class Prefetch : NonCopyable {
 public:
  using Read = std::function<Batch(std::int64_t batch)>;

  // Throws unless workers >= 1, and when threads cannot be started.
  Prefetch(Read read, std::int64_t count, int workers);
  // Waits for the batches that are being read; later ones are not read.
  ~Prefetch();

  // Waits for the batch and returns it; rethrows what reading it threw. A batch may be requested again or skipped, but
  // never one before the last. For one thread at a time.
  Batch get(std::int64_t batch);

 private:
  struct Result {
    bool ready = false;
    Batch batch;
    std::exception_ptr error;
  };

  void work();
  void stop();
  Result call(std::int64_t batch) const;
  Result& result(std::int64_t batch) { return results_[static_cast<std::size_t>(batch % window_)]; }

  const Read read_;
  const std::int64_t count_, window_;
  std::mutex mutex_;  // guards the members below
  std::condition_variable ready_, room_;
  std::vector<Result> results_;  // of batches asked_ .. asked_ + window_ - 1, each at index batch % window_
  std::int64_t asked_ = 0;       // the last batch requested
  std::int64_t next_ = 0;        // the next batch a worker will read
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace mixgrad::data
