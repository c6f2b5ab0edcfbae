#include "core/parallel.h"

#include <omp.h>

#include <atomic>
#include <vector>

#include "core/check.h"

namespace mixgrad {

namespace {
thread_local bool single_threaded = false;
}

int num_threads() { return single_threaded ? 1 : omp_get_max_threads(); }

void set_num_threads(int threads) {
  check(threads >= 1, "set_num_threads: ", threads, " threads, needs at least 1");
  omp_set_num_threads(threads);
}

int thread_index() { return single_threaded ? 0 : omp_get_thread_num(); }

// Neighbouring ranges stay with one thread, so that it finds in its cache what it wrote before; but a thread that the
// system gave something else to do does not keep the others waiting.
void for_each_range(std::int64_t ranges, void (*f)(const void* context, std::int64_t range), const void* context) {
  struct alignas(64) Share {  // a line of the cache each
    std::atomic<std::int64_t> begun = 0;
  };
  std::vector<Share> shares(static_cast<std::size_t>(omp_get_max_threads()));
#pragma omp parallel
  {
    const std::int64_t threads = omp_get_num_threads(), self = omp_get_thread_num();
    for (std::int64_t i = 0; i < threads; ++i) {
      const std::int64_t owner = (self + i) % threads;
      const std::int64_t first = owner * ranges / threads, size = (owner + 1) * ranges / threads - first;
      std::atomic<std::int64_t>& begun = shares[static_cast<std::size_t>(owner)].begun;
      // Read before it is changed: of a share that is done the cache line stays where it is.
      while (begun.load(std::memory_order_relaxed) < size) {
        const std::int64_t next = begun.fetch_add(1, std::memory_order_relaxed);
        if (next < size) f(context, first + next);
      }
    }
  }
}

SingleThreaded::SingleThreaded() : single_threaded_(single_threaded, true) {}

}  // namespace mixgrad
