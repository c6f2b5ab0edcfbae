#include "core/parallel.h"

#include <omp.h>
#include <pthread.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "core/check.h"

namespace mixgrad {

namespace {

using Job = void (*)(const void* context, std::int64_t range);

thread_local ThreadRole this_thread;

constexpr int most_threads = 4096;        // with many more, OpenMP may fail to start them, which ends the program
std::atomic<int> threads_of_process = 0;  // set by set_num_threads; 0: as many as OpenMP would use

// How long a thread polls for work before it sleeps: longer than the host takes between two operations, much shorter
// than a scheduler time slice (measured in tests/bench/NOTES.md).
constexpr std::chrono::microseconds polling_time{100};

// Yields the core to its other hardware thread for a moment.
void pause() {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

// OpenMP's threads, so that OMP_NUM_THREADS, OMP_PLACES and the like apply, but with our own way of waiting. OpenMP
// ends every region with a barrier: on a busy machine all wait there for a descheduled thread, even one without work,
// and GCC's threads spin for milliseconds meanwhile. Here the threads stay in one region. Any thread may join a job
// while it is open; the caller works on it, too, closes it when every range has begun, and waits for those that joined.
class Team : NonCopyable {
 public:
  explicit Team(int threads)
      : shares_(static_cast<std::size_t>(threads)), region_([this, threads] {
#pragma omp parallel num_threads(threads)
          if (const int self = omp_get_thread_num(); self > 0) serve(self);
          else end_.get_future().wait();  // takes the caller's place, and sleeps
        }) {
  }
  ~Team() {
    ending_ = true;
    state_ += 2 * opened;
    state_.notify_all();
    end_.set_value();
    region_.join();
  }

  int threads() const { return static_cast<int>(shares_.size()); }

  // Calls job(context, range) for each range, then rethrows the error of the lowest range that had one.
  void run(std::int64_t ranges, Job job, const void* context) {
    job_ = job, context_ = context, ranges_ = ranges, error_ = nullptr;
    for (Share& share : shares_) share.begun.store(0, std::memory_order_relaxed);
    state_ += opened;
    state_.notify_all();
    work(0);
    state_ += opened;
    wait_until([](unsigned state) { return state % opened == 0; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

 private:
  struct alignas(64) Share {  // one cache line each
    std::atomic<std::int64_t> begun = 0;
  };
  // The state counts openings and closings by `opened` (an odd number of them: a job is open) and, below, the threads
  // that have joined.
  static constexpr unsigned opened = 1u << 16;

  void serve(int self) {
    unsigned last = 0;
    const auto has_work = [&](unsigned state) { return state / opened % 2 == 1 && state / opened != last; };
    for (;;) {
      unsigned state = wait_until([&](unsigned s) { return has_work(s) || ending_; });
      if (ending_) return;
      if (!state_.compare_exchange_strong(state, state + 1)) continue;
      last = state / opened;
      work(self);
      if (const unsigned left = --state_; left % opened == 0 && left / opened % 2 == 0) state_.notify_all();
    }
  }

  // Neighbouring ranges stay with one thread, so that they are in its cache; idle threads take over a descheduled
  // thread's ranges.
  void work(int self) {
    const Temporarily<ThreadRole> inside(this_thread, {true, self});
    const auto threads = std::ssize(shares_);
    for (std::int64_t i = 0; i < threads; ++i) {
      const std::int64_t owner = (self + i) % threads;
      const std::int64_t first = owner * ranges_ / threads, size = (owner + 1) * ranges_ / threads - first;
      std::atomic<std::int64_t>& begun = shares_[static_cast<std::size_t>(owner)].begun;
      // Load first: polling a finished share must not bounce its cache line.
      while (begun.load(std::memory_order_relaxed) < size) {
        const std::int64_t next = begun.fetch_add(1, std::memory_order_relaxed);
        if (next < size) call(first + next);
      }
    }
  }

  void call(std::int64_t range) {
    try {
      job_(context_, range);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_ || range < error_range_) error_ = std::current_exception(), error_range_ = range;
    }
  }

  template <class Done>
  unsigned wait_until(Done done) {
    const auto sleep_at = std::chrono::steady_clock::now() + polling_time;
    for (bool sleepy = false;; sleepy = std::chrono::steady_clock::now() > sleep_at) {
      unsigned state = state_.load();
      if (sleepy && !done(state)) state_.wait(state);
      for (int i = 0; i < 16; ++i, pause()) {
        if (done(state = state_.load())) return state;
      }
    }
  }

  alignas(64) std::atomic<unsigned> state_ = 0;
  std::atomic<bool> ending_ = false;
  alignas(64) Job job_ = nullptr;  // not in the cache line that waiting threads poll
  const void* context_ = nullptr;
  std::int64_t ranges_ = 0;
  std::vector<Share> shares_;
  std::mutex error_mutex_;
  std::exception_ptr error_;
  std::int64_t error_range_ = 0;
  std::promise<void> end_;
  std::thread region_;  // last: it uses the other members
};

// The team of the process, and whether a thread is using it.
Team* team = nullptr;
std::atomic<bool> in_use = false;

// What happens to the team when the process forks or exits. A child has none of its parent's threads and starts its
// own; at exit the threads return before OpenMP's library is unloaded.
struct TeamOfProcess {
  TeamOfProcess() {
    pthread_atfork(nullptr, nullptr, [] { team = nullptr, in_use = false; });
  }
  ~TeamOfProcess() {
    if (!in_use.exchange(true)) delete team;
  }
};

}  // namespace

int num_threads() {
  if (this_thread.single_threaded || omp_in_parallel()) return 1;
  const int threads = threads_of_process;
  return threads > 0 ? threads : std::min(omp_get_max_threads(), most_threads);
}

void set_num_threads(int threads) {
  check(threads >= 1 && threads <= most_threads, "set_num_threads: ", threads, " threads are not in 1..", most_threads);
  threads_of_process = threads;
}

int thread_index() { return this_thread.index; }

SingleThreaded::SingleThreaded() : role_(this_thread, {.single_threaded = true}) {}

void for_each_range(std::int64_t ranges, Job job, const void* context) {
  if (in_use.exchange(true)) {  // by another thread of the program
    const SingleThreaded serial;
    for (std::int64_t range = 0; range < ranges; ++range) job(context, range);
    return;
  }
  struct Use {
    ~Use() { in_use = false; }
  } use;
  static const TeamOfProcess of_process;
  if (!team || team->threads() != num_threads()) {
    delete std::exchange(team, nullptr);
    team = new Team(num_threads());
  }
  team->run(ranges, job, context);
}

}  // namespace mixgrad
