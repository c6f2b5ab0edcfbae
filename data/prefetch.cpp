#include "data/prefetch.h"

#include <algorithm>
#include <system_error>

#include "core/check.h"
#include "core/parallel.h"

namespace mixgrad::data {

Prefetch::Prefetch(Read read, std::int64_t count, int workers)
    : read_(std::move(read)),
      count_(count),
      window_(std::min(count, std::int64_t{2} * workers) + 1),
      results_(static_cast<std::size_t>(std::max<std::int64_t>(window_, 1))) {
  check(workers >= 1, "prefetch: ", workers, " workers, needs at least 1");
  try {
    for (std::int64_t worker = 0; worker < std::min<std::int64_t>(workers, count); ++worker)
      threads_.emplace_back([this] { work(); });
  } catch (const std::system_error& error) {
    stop();
    fail("prefetch: cannot start ", workers, " worker threads: ", error.what());
  }
}

Prefetch::~Prefetch() { stop(); }

void Prefetch::stop() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

Batch Prefetch::get(std::int64_t batch) {
  std::unique_lock lock(mutex_);
  check(batch >= asked_ && batch < count_, "prefetch: batch ", batch, " requested after batch ", asked_, " of ",
        count_);
  for (; asked_ < batch; ++asked_) result(asked_) = {};
  next_ = std::max(next_, asked_);
  room_.notify_all();
  Result& wanted = result(batch);
  ready_.wait(lock, [&] { return wanted.ready; });
  if (wanted.error) std::rethrow_exception(wanted.error);
  return wanted.batch;
}

void Prefetch::work() {
  const SingleThreaded inline_work;
  std::unique_lock lock(mutex_);
  for (;;) {
    room_.wait(lock, [&] { return stopping_ || next_ == count_ || next_ < asked_ + window_; });
    if (stopping_ || next_ == count_) return;
    const std::int64_t batch = next_++;
    lock.unlock();
    Result done = call(batch);
    lock.lock();
    if (batch < asked_) continue;  // skipped by the caller meanwhile
    result(batch) = std::move(done);
    ready_.notify_all();
  }
}

Prefetch::Result Prefetch::call(std::int64_t batch) const {
  try {
    return {true, read_(batch), nullptr};
  } catch (...) {
    return {true, {}, std::current_exception()};
  }
}

}  // namespace mixgrad::data
