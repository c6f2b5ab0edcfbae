// Prefetch: batches read ahead by worker threads and returned in order.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <future>
#include <mutex>
#include <stop_token>
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

  // Throws unless workers >= 1, and when threads cannot be started. The destructor waits for the batches that are being
  // read; later ones are not read.
  Prefetch(Read read, std::int64_t count, int workers);

  // Waits for the batch and returns it; rethrows what reading it threw. A batch may be requested again or skipped, but
  // never one before the last. For one thread at a time.
  Batch get(std::int64_t batch);

 private:
  void work(const std::stop_token& stop);
  std::shared_future<Batch>& result(std::int64_t batch) { return results_[static_cast<std::size_t>(batch % window_)]; }

  const Read read_;
  const std::int64_t count_, window_;
  std::mutex mutex_;                                // guards the members below
  std::condition_variable_any moved_;               // asked_ or next_
  std::vector<std::shared_future<Batch>> results_;  // of the last window_ batches begun, at index batch % window_
  std::int64_t asked_ = 0;                          // the last batch requested
  std::int64_t next_ = 0;                           // the next batch a worker will read
  std::vector<std::jthread> threads_;               // last: they stop before the rest goes
};

}  // namespace mixgrad::data
