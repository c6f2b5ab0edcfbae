#include "data/prefetch.h"

#include <algorithm>
#include <system_error>

#include "core/check.h"
#include "core/parallel.h"

namespace mixgrad::data {

Prefetch::Prefetch(Read read, std::int64_t count, int workers)
    : read_(std::move(read)), count_(count), window_(std::min(count, std::int64_t{2} * workers) + 1) {
  check(workers >= 1, "prefetch: ", workers, " workers, needs at least 1");
  results_.resize(static_cast<std::size_t>(window_));
  try {
    for (std::int64_t worker = 0; worker < std::min<std::int64_t>(workers, count); ++worker)
      threads_.emplace_back([this](const std::stop_token& stop) { work(stop); });
  } catch (const std::system_error& error) {
    fail("prefetch: cannot start ", workers, " worker threads: ", error.what());
  }
}

Batch Prefetch::get(std::int64_t batch) {
  std::unique_lock lock(mutex_);
  check(batch >= asked_ && batch < count_, "prefetch: batch ", batch, " requested after batch ", asked_, " of ",
        count_);
  asked_ = batch;
  next_ = std::max(next_, asked_);
  moved_.notify_all();
  moved_.wait(lock, [&] { return batch < next_; });
  const std::shared_future<Batch> wanted = result(batch);
  lock.unlock();
  return wanted.get();
}

void Prefetch::work(const std::stop_token& stop) {
  const SingleThreaded inline_work;
  std::unique_lock lock(mutex_);
  for (;;) {
    moved_.wait(lock, stop, [&] { return next_ == count_ || next_ < asked_ + window_; });
    if (stop.stop_requested() || next_ == count_) return;
    std::packaged_task<Batch()> task([this, batch = next_] { return read_(batch); });
    result(next_++) = task.get_future().share();
    moved_.notify_all();
    lock.unlock();
    task();
    lock.lock();
  }
}

}  // namespace mixgrad::data
