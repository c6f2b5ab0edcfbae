#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "core/parallel.h"
#include "tests/error.h"

using namespace mixgrad;

namespace {

// The number of threads, as it was again afterwards.
struct WithThreads {
  explicit WithThreads(int threads) { set_num_threads(threads); }
  ~WithThreads() { set_num_threads(before); }
  int before = num_threads();
};

}  // namespace

TEST_CASE("parallel: each range is called once, whole, whatever the number of threads") {
  for (const int threads : {1, 2, 3, 8}) {
    const WithThreads with(threads);
    for (std::int64_t n = 0; n <= 40; ++n) {
      constexpr std::int64_t grain = 3;
      std::vector<std::atomic<int>> calls(static_cast<std::size_t>(num_ranges(n, grain)));
      std::atomic<bool> right = true;
      parallel_ranges(n, grain, [&](std::int64_t range, std::int64_t begin, std::int64_t end) {
        ++calls[static_cast<std::size_t>(range)];
        if (begin != range * grain || end != std::min(n, begin + grain)) right = false;
        if (thread_index() < 0 || thread_index() >= threads) right = false;
      });
      CHECK(right);
      for (const auto& count : calls) CHECK(count == 1);
    }
  }
}

TEST_CASE("parallel: a thread that is done takes over what another has not begun") {
  const WithThreads two(2);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  std::atomic<int> others = 0;
  // The first range is over when all others are, four of which belong to the thread that is busy with it.
  parallel_for(8, 1, [&](std::int64_t begin, std::int64_t) {
    if (begin > 0) ++others;
    else
      while (others < 7 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  });
  CHECK(others == 7);
  CHECK(std::chrono::steady_clock::now() < deadline);
}

TEST_CASE("parallel: while a SingleThreaded lives, all ranges run on the caller's thread, in order") {
  const WithThreads two(2);
  const SingleThreaded serial;
  std::vector<std::int64_t> order;
  bool here = true;
  parallel_for(5, 1, [&, caller = std::this_thread::get_id()](std::int64_t begin, std::int64_t) {
    order.push_back(begin);
    here = here && std::this_thread::get_id() == caller;
  });
  CHECK(here);
  CHECK(order == std::vector<std::int64_t>{0, 1, 2, 3, 4});
}

TEST_CASE("parallel: at least one thread") {
  test::check_refused([] { set_num_threads(0); }, "0 threads");
}
