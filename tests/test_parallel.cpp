#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
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

TEST_CASE("parallel: of many tiny ranges, which threads contend for, none is lost or called twice") {
  for (const int threads : {2, 5}) {
    const WithThreads with(threads);
    constexpr std::int64_t ranges = 1000;
    std::vector<std::atomic<int>> calls(ranges);
    for (int time = 1; time <= 300; ++time) {
      parallel_for(ranges, 1, [&](std::int64_t begin, std::int64_t) { ++calls[static_cast<std::size_t>(begin)]; });
      if (const auto wrong = std::ranges::count_if(calls, [=](int count) { return count != time; }); wrong > 0)
        FAIL(wrong << " ranges after " << time << " times");
    }
  }
}

TEST_CASE("parallel: all threads take part in work that lasts, again and again") {
  const WithThreads three(3);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (int time = 0; time < 20; ++time) {
    if (time % 4 == 3) std::this_thread::sleep_for(std::chrono::milliseconds(2));  // they have gone to sleep
    std::atomic<int> arrived = 0;
    parallel_for(3, 1, [&](std::int64_t, std::int64_t) {
      ++arrived;
      while (arrived < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    });
  }
  CHECK(std::chrono::steady_clock::now() < deadline);
}

TEST_CASE("parallel: of several errors that of the lowest range comes out, and work goes on afterwards") {
  for (const int threads : {1, 2, 4}) {
    const WithThreads with(threads);
    for (int time = 0; time < 50; ++time) {
      std::string message;
      try {
        parallel_for(40, 1, [](std::int64_t begin, std::int64_t) {
          if (begin % 7 == 3) throw std::runtime_error("range " + std::to_string(begin));
        });
      } catch (const std::runtime_error& error) {
        message = error.what();
      }
      CHECK(message == "range 3");
    }
    std::atomic<int> calls = 0;
    parallel_for(40, 1, [&](std::int64_t, std::int64_t) { ++calls; });
    CHECK(calls == 40);
  }
}

TEST_CASE("parallel: of several errors that of the lowest range comes out, also where it comes last") {
  for (const int threads : {2, 4}) {
    const WithThreads with(threads);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(2);
    std::atomic<bool> over = false;
    std::string message;
    try {
      parallel_for(40, 1, [&](std::int64_t begin, std::int64_t) {
        if (begin == 24) throw std::runtime_error("range 24");
        if (begin == 25) over = true;  // by the thread that range 24 had, as long as there is one beside the caller
        if (begin != 3) return;
        while (!over && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
        throw std::runtime_error("range 3");
      });
    } catch (const std::runtime_error& error) {
      message = error.what();
    }
    CHECK(message == "range 3");
  }
}

TEST_CASE("parallel: threads of the program's own may all call at once, and inside a range") {
  const WithThreads two(2);
  std::atomic<int> calls = 0;
  std::atomic<bool> right = true;
  const auto work = [&] {
    for (int time = 0; time < 100; ++time)
      parallel_for(10, 1, [&](std::int64_t, std::int64_t) {
        if (num_threads() != 1) right = false;
        parallel_for(3, 1, [&](std::int64_t, std::int64_t) {
          ++calls;
          if (thread_index() != 0) right = false;  // of the one thread that a nested call has
        });
      });
  };
  std::thread one(work), another(work);
  work();
  one.join();
  another.join();
  CHECK(calls == 3 * 100 * 10 * 3);
  CHECK(right);
}

TEST_CASE("parallel: inside a parallel region of the program's own, work runs inline") {
  std::atomic<int> calls = 0;
  std::atomic<bool> right = true;
#pragma omp parallel num_threads(3)
  {
    if (num_threads() != 1) right = false;
    parallel_for(10, 1, [&](std::int64_t, std::int64_t) {
      ++calls;
      if (thread_index() != 0) right = false;
    });
  }
  CHECK(calls % 10 == 0);
  CHECK(calls >= 10);
  CHECK(right);
}

#if defined(__has_feature)
#define MIXGRAD_FORKED_THREADS !__has_feature(thread_sanitizer)  // which refuses threads in a forked child
#else
#define MIXGRAD_FORKED_THREADS 1
#endif
#if MIXGRAD_FORKED_THREADS
TEST_CASE("parallel: a process that is forked after its parent has used threads uses threads as well") {
  const WithThreads two(2);
  const auto both_arrive = [] {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    std::atomic<int> arrived = 0;
    parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
      ++arrived;
      while (arrived < 2 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    });
    return arrived == 2 && std::chrono::steady_clock::now() < deadline;
  };
  REQUIRE(both_arrive());
  const pid_t child = fork();
  if (child == 0) {
    alarm(60);  // rather than hang
    const pid_t grandchild = both_arrive() ? fork() : -1;
    if (grandchild == 0) _exit(both_arrive() ? 0 : 1);
    int status = 1;
    _exit(grandchild > 0 && waitpid(grandchild, &status, 0) == grandchild && status == 0 && both_arrive() ? 0 : 1);
  }
  int status = 1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(both_arrive());
}
#endif

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

TEST_CASE("parallel: the number of threads is the whole process's, from 1 to 4096") {
  const WithThreads with(3);
  int elsewhere = 0;
  std::thread([&] { elsewhere = num_threads(); }).join();
  CHECK(elsewhere == 3);
  test::check_refused([] { set_num_threads(0); }, "0 threads");
  test::check_refused([] { set_num_threads(4097); }, "4097 threads");
  CHECK(num_threads() == 3);
}
