// What a test sets and reads of the CPU executor: the schedule that its kernels run under, the machine that the host
// API reports, and counters. README.md says what the executor models.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace executor {

// A fault that a GPU shows as a crash, a hang or, worse, only sometimes: the block, the thread, what, file:line.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Which thread of a block runs next when one has to wait (or has finished).
enum class Order {
  forward,  // the one that has been ready longest, from thread 0 up; blocks likewise
  reverse,  // the same from the last thread down; blocks likewise
  deep,     // the one made ready last: a warp runs as far ahead of the others as the barriers let it
  random,   // mostly the one made ready last, else any; blocks in random order
};

struct Schedule {
  Order order = Order::forward;
  std::uint64_t seed = 1;       // of Order::random
  bool lazy_streams = false;    // work waits in its stream until something synchronises; else it is done at once
  unsigned char poison = 0xff;  // the byte memory holds until it is written: 0xff is NaN, 0x7f is 3.4e38
};

struct Machine {
  int devices = 1;                   // 0: every call returns cudaErrorNoDevice
  int compute_capability_major = 8;  // below 8 there is no kernel image for the device
  int compute_capability_minor = 0;
  int multiprocessors = 3;
  std::size_t memory = std::size_t{8} << 30;         // bytes; beyond them cudaErrorMemoryAllocation
  std::size_t shared_memory_per_block = 163 * 1024;  // bytes, after cudaFuncSetAttribute; 48 KiB without
};

// Counted since the start or since `stats = {}`.
struct Stats {
  std::uint64_t launches = 0;  // of kernels run, those of graphs included
  std::uint64_t graph_launches = 0;
  std::uint64_t copies = 0;            // cudaMemcpyAsync carried out, those of graphs included
  std::uint64_t allocations = 0;       // cudaMalloc and cudaMallocHost
  std::uint64_t synchronizations = 0;  // calls that make the host wait
  std::uint64_t frees = 0;             // of these, cudaFree and cudaFreeHost
  std::uint64_t blocks = 0;
  std::uint64_t threads = 0;
  std::uint64_t switches = 0;  // from one thread of a block to another
};

extern Schedule schedule;
extern Machine machine;
extern Stats stats;

// "deep, lazy streams, poison 7f"
std::string to_string(const Schedule& schedule);

// Each order twice: at once and with poison 0xff; with lazy streams, poison 0x7f and another seed.
std::vector<Schedule> every_order();

// Returns f(), a contiguous container of plain values, after calling it under every_order(). f allocates what it uses
// and synchronises before it reads. Throws an Error that names the schedule where the bits differ or a fault happens.
template <class F>
auto run_in_every_order(F f) {
  struct Restore {
    Schedule before = schedule;
    ~Restore() { schedule = before; }
  } const restore;
  decltype(f()) expected{};
  bool first = true;
  for (const Schedule& each : every_order()) {
    schedule = each;
    try {
      auto result = f();
      if (std::exchange(first, false)) expected = std::move(result);
      else if (result.size() != expected.size() ||
               (!result.empty() && std::memcmp(result.data(), expected.data(), result.size() * sizeof(*result.data()))))
        throw Error("the result is not that of " + to_string(every_order().front()));
    } catch (const Error& error) {
      throw Error(to_string(each) + ": " + error.what());
    }
  }
  return expected;
}

}  // namespace executor
