#include "block.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "executor.h"
#include "fibers.h"
#include "shared_memory.h"

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace executor {
namespace {

enum class State : std::uint8_t { ready, at_barrier, in_collective, finished };

struct Thread {
  State state = State::ready;
  unsigned mask = 0;        // of the collective it is in
  void* payload = nullptr;  // likewise
  Location site{};          // of the barrier or collective it waits at
  bool waited = false;      // for the kernel before it
};

// The threads that can run, the one made ready first in front.
class ReadyQueue {
 public:
  void clear() { size_ = 0; }
  int size() const { return size_; }
  void push_back(int thread) { at(size_++) = thread; }
  int pop_back() { return at(--size_); }
  int pop_front() { return pop(0); }
  // Takes out number i; the front takes its place.
  int pop(int i) {
    std::swap(at(0), at(i));
    --size_;
    return threads_[head_++ % threads_.size()];
  }

 private:
  int& at(int i) { return threads_[(head_ + static_cast<unsigned>(i)) % threads_.size()]; }
  std::array<int, max_fibers> threads_{};
  unsigned head_ = 0;
  int size_ = 0;
};

std::array<Thread, max_fibers> threads;
ReadyQueue ready;
std::minstd_rand dice;  // of Order::random
int thread_count = 0;   // of the block; threads that wait at the block's barrier, and that have returned:
int waiting = 0;
int finished = 0;
int votes = 0;  // predicates that held, of the threads waiting; and of the barrier passed last
int votes_passed = 0;
const std::function<void()>* the_kernel = nullptr;
bool must_wait_for_kernel = false;
std::function<void()> on_waited;  // null once it has been called
// Of a fault. On a fiber nothing is kept in memory of its own, since an abandoned one destroys nothing.
char message[500];
int faulty = host;
bool failed = false, stuck = false;

Thread& thread(int i) { return threads[static_cast<std::size_t>(i)]; }

uint3 position(int i, dim3 extent) {
  const auto u = static_cast<unsigned>(i);
  return {u % extent.x, u / extent.x % extent.y, u / (extent.x * extent.y)};
}

int pick() {
  if (ready.size() == 0) return host;
  if (schedule.order == Order::deep) return ready.pop_back();
  if (schedule.order == Order::random)
    return dice() % 16 ? ready.pop_back() : ready.pop(static_cast<int>(dice() % static_cast<unsigned>(ready.size())));
  return ready.pop_front();
}

// The thread to run next; the host when none can.
int next_thread() {
  const int next = pick();
  if (next == host) stuck = finished < thread_count;
  else threadIdx = position(next, blockDim);
  return next;
}

void make_ready(const int* first, int count) {
  for (int i = 0; i < count; ++i) {
    const int next = first[schedule.order == Order::reverse ? count - 1 - i : i];
    thread(next).state = State::ready;
    ready.push_back(next);
  }
}

// The current thread cannot go on until it is made ready again.
void wait() {
  const int next = next_thread();
  if (next == host) abandon_fibers();
  if (next != current_fiber()) switch_to(next);
}

int life_of_a_thread() {
  (*the_kernel)();
  if (must_wait_for_kernel && !thread(current_fiber()).waited)
    fault(Location::current(), "returns without having waited for the kernel before it");
  thread(current_fiber()).state = State::finished;
  ++finished;
  return next_thread();
}

const char* file_name(Location where) {
  const char* slash = std::strrchr(where.file, '/');
  return slash ? slash + 1 : where.file;
}

std::string to_string(const char* what, uint3 at) {
  return std::string(what) + " (" + std::to_string(at.x) + "," + std::to_string(at.y) + "," + std::to_string(at.z) +
         ")";
}

// "31 threads wait at x.cu:12; 1 thread has returned, the first is thread (5,0,0)".
std::string who_waits_where() {
  std::map<std::string, std::vector<int>> groups;
  for (int i = 0; i < thread_count; ++i) {
    const Thread& t = thread(i);
    std::string where = "returned";
    if (t.state != State::finished)
      where = std::string(t.state == State::at_barrier ? "at the barrier " : "in the warp collective ") +
              file_name(t.site) + ":" + std::to_string(t.site.line);
    groups[where].push_back(i);
  }
  std::string text;
  for (const auto& [where, members] : groups)
    text += (text.empty() ? "" : "; ") + std::to_string(members.size()) + " thread(s) " + where + ", the first is " +
            to_string("thread", position(members.front(), blockDim));
  return text;
}

void begin_block() {
  thread_count = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  waiting = finished = votes = 0;
  failed = stuck = false;
  faulty = host;
  ready.clear();
  dice.seed(static_cast<unsigned>(schedule.seed + blockIdx.x + 31 * (blockIdx.y + 31 * blockIdx.z)));
  std::array<int, max_fibers> all;
  for (int i = 0; i < thread_count; ++i) {
    thread(i) = {};
    all[static_cast<std::size_t>(i)] = schedule.order == Order::deep ? thread_count - 1 - i : i;  // thread 0 is first
  }
  make_ready(all.data(), thread_count);
  poison_shared_memory();
  prepare_fibers(thread_count, life_of_a_thread);
}

}  // namespace

void fault(Location where, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  const auto used = std::min(sizeof message, static_cast<std::size_t>(std::max(length, 0)));
  std::snprintf(message + used, sizeof message - used, " (%s:%d)", file_name(where), where.line);
  if (current_fiber() == host) throw Error(message);
  failed = true;
  faulty = current_fiber();
  abandon_fibers();
}

void wait_for_previous_kernel() {
  thread(current_fiber()).waited = true;
  if (!on_waited) return;
  block_barrier(Location::current());
  if (on_waited) std::exchange(on_waited, nullptr)();
}

void run_block(const std::function<void()>& kernel, bool must_wait, const std::function<void()>& when_waited) {
  the_kernel = &kernel;
  must_wait_for_kernel = must_wait;
  on_waited = when_waited;
  begin_block();
  ++stats.blocks;
  stats.threads += static_cast<std::uint64_t>(thread_count);
  switch_to(next_thread());
  if (failed)
    throw Error(to_string("block", blockIdx) + ", " + to_string("thread", position(faulty, blockDim)) + ": " + message);
  if (stuck) throw Error(to_string("block", blockIdx) + ": not all threads get there: " + who_waits_where());
}

void block_barrier(Location where) { block_vote(0, where); }

Votes block_vote(int predicate, Location where) {
  static Location barrier;
  if (waiting == 0) barrier = where;
  if (barrier.line != where.line || std::strcmp(barrier.file, where.file) != 0)
    fault(where, "waits at another barrier than the threads at %s:%d", file_name(barrier), barrier.line);
  Thread& me = thread(current_fiber());
  me.state = State::at_barrier;
  me.site = where;
  votes += predicate != 0;
  if (++waiting == thread_count) {
    waiting = 0;
    votes_passed = std::exchange(votes, 0);
    std::array<int, max_fibers> all;
    for (int i = 0; i < thread_count; ++i) all[static_cast<std::size_t>(i)] = i;
    make_ready(all.data(), thread_count);
  }
  wait();
  return {votes_passed > 0, votes_passed == thread_count, votes_passed};
}

int lane() { return current_fiber() % warpSize; }

void warp_collective(unsigned mask, void* payload, Combine combine, Location where) {
  const int first = current_fiber() - lane(), lanes_here = std::min(warpSize, thread_count - first);
  const unsigned existing = ~0u >> (warpSize - lanes_here);
  if (!(mask >> lane() & 1)) fault(where, "lane %d is not in the mask %08x of its warp collective", lane(), mask);
  if (mask & ~existing) fault(where, "mask %08x names lanes that a warp of %d has not", mask, lanes_here);
  Thread& me = thread(current_fiber());
  me.state = State::in_collective;
  me.mask = mask;
  me.payload = payload;
  me.site = where;
  void* payloads[warpSize] = {};
  int members[warpSize], count = 0;
  bool complete = true;
  for (int i = 0; i < lanes_here; ++i) {
    if (!(mask >> i & 1)) continue;
    const Thread& other = thread(first + i);
    if (other.state != State::in_collective) {
      complete = false;
      continue;
    }
    if (other.mask != mask)
      fault(where, "lanes %d and %d of a warp meet with masks %08x and %08x", lane(), i, mask, other.mask);
    if (other.site.line != where.line || std::strcmp(other.site.file, where.file) != 0)
      fault(where, "lane %d of the warp is in another collective, at %s:%d", i, file_name(other.site), other.site.line);
    payloads[i] = other.payload;
    members[count++] = first + i;
  }
  if (complete) {
    combine(payloads);
    make_ready(members, count);
  }
  wait();
}

}  // namespace executor
