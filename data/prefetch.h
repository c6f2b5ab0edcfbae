// Prefetch: batches read ahead of time by worker threads, handed out in order.
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

// Worker threads call read(0), ..., read(count - 1) in this order, each number once, several at the same time, and at
// most 2 * workers batches beyond the one last asked for: memory is bounded. They are SingleThreaded (core/parallel.h).
//
// Since each batch is named by its number, what comes out does not depend on the number of workers.
class Prefetch : NonCopyable {
 public:
  using Read = std::function<Batch(std::int64_t batch)>;

  // Throws unless workers >= 1, or when no threads are to be had.
  Prefetch(Read read, std::int64_t count, int workers);
  // Waits for the batches that are being read at this moment; what follows is not read.
  ~Prefetch();

  // Batch number `batch`, once it is there; throws what reading it threw. Numbers may repeat and be left out, but not
  // go back. For one thread at a time.
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
  std::mutex mutex_;  // guards what follows
  std::condition_variable ready_, room_;
  std::vector<Result> results_;  // of batches asked_ .. asked_ + window_ - 1, each in place batch % window_
  std::int64_t asked_ = 0;       // the batch last asked for
  std::int64_t next_ = 0;        // that a worker will read
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace mixgrad::data
