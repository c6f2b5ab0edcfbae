// Work shared among threads, with results that do not depend on their number: ranges are cut by the size of the problem
// alone, and a reduction keeps one partial result per range and adds them in range order.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/scope.h"

namespace mixgrad {

int num_threads();                  // that parallel_for may use here: 1 while a SingleThreaded lives on this thread
void set_num_threads(int threads);  // of the process: 1 to 4096, else it throws; OpenMP's own default until then
int thread_index();                 // 0..num_threads()-1 inside parallel_for, 0 outside

// The part of this thread in parallel work.
struct ThreadRole {
  bool single_threaded = false;
  int index = 0;
};

// While it lives, parallel_ranges and parallel_for run inline on this thread: for threads that run in parallel
// themselves, each with enough work for a core.
class SingleThreaded {
 public:
  SingleThreaded();

 private:
  Temporarily<ThreadRole> role_;
};

// The number of ranges of `grain` indices that cover 0..n-1.
constexpr std::int64_t num_ranges(std::int64_t n, std::int64_t grain) { return (n + grain - 1) / grain; }

// How many rows of `row_size` elements each make a range of about `elements`; at least one.
constexpr std::int64_t rows_per_range(std::int64_t row_size, std::int64_t elements) {
  return std::max<std::int64_t>(elements / std::max<std::int64_t>(row_size, 1), 1);
}

// Calls f(context, range) for 0..ranges-1 in parallel, or inline while another thread of the process is doing so.
void for_each_range(std::int64_t ranges, void (*f)(const void* context, std::int64_t range), const void* context);

// Calls f(range, begin, end) for each range of `grain` indices in 0..n-1, in parallel. Rethrows what f throws; of
// several errors, that of the lowest range.
template <class F>
void parallel_ranges(std::int64_t n, std::int64_t grain, F&& f) {
  const std::int64_t ranges = num_ranges(n, grain);
  const auto call = [&](std::int64_t range) { f(range, range * grain, std::min(n, (range + 1) * grain)); };
  if (ranges <= 1 || num_threads() == 1) {
    const SingleThreaded serial;  // so that thread_index() is 0 in a caller's own parallel region too
    for (std::int64_t range = 0; range < ranges; ++range) call(range);
    return;
  }
  for_each_range(
      ranges, [](const void* context, std::int64_t range) { (*static_cast<const decltype(call)*>(context))(range); },
      &call);
}

// The same with f(begin, end), for work whose ranges are independent.
template <class F>
void parallel_for(std::int64_t n, std::int64_t grain, F&& f) {
  parallel_ranges(n, grain, [&](std::int64_t, std::int64_t begin, std::int64_t end) { f(begin, end); });
}

}  // namespace mixgrad
