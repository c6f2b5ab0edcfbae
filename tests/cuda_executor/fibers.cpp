#include "fibers.h"

#include <sys/mman.h>

#include <array>
#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <utility>

#include "executor.h"
#include "sanitizer.h"

// AddressSanitizer asks the program for its options. What it would keep of frames that have returned (by default from
// GCC 13 and clang 15 on) lies in memory that is mapped anew for each fiber: ten times the time.
extern "C" const char* __asan_default_options() { return "detect_stack_use_after_return=0"; }

namespace executor {
namespace {

namespace context = boost::context::detail;

constexpr std::size_t stack_bytes = 64 << 10;
constexpr std::size_t guard_bytes = 64 << 10;  // a whole number of pages everywhere; overrunning a stack ends there
constexpr int no_stack = -1;
constexpr int nobody = -2;  // what switches away and is not resumed

struct Fiber {
  context::fcontext_t context = nullptr;
  int stack = no_stack;  // until it starts
};

std::array<Fiber, max_fibers> fibers;
std::array<int, max_fibers> free_stacks;
int free_stack_count = 0;
int running = host;
bool abandoned = false;  // frames of the last fibers may still be poisoned by AddressSanitizer
int (*life_of_a_fiber)();
context::fcontext_t host_context;
const void* host_stack;
std::size_t host_stack_bytes;

std::byte* stack_of(int stack) {
  static std::byte* const all = [] {
    void* memory = mmap(nullptr, max_fibers * (guard_bytes + stack_bytes), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    for (std::size_t i = 0; i < max_fibers; ++i)
      mprotect(static_cast<std::byte*>(memory) + i * (guard_bytes + stack_bytes), guard_bytes, PROT_NONE);
    return static_cast<std::byte*>(memory);
  }();
  return all + static_cast<std::size_t>(stack) * (guard_bytes + stack_bytes) + guard_bytes;
}

// Where a switch lands: keeps the context of the one that switched here.
void landed(context::transfer_t from) {
  const auto who = static_cast<int>(reinterpret_cast<std::intptr_t>(from.data));
  if (who == host) host_context = from.fctx;
  if (who >= 0) fibers[static_cast<std::size_t>(who)].context = from.fctx;
}

void run(context::transfer_t from);

void start(Fiber& fiber) {
  fiber.stack = free_stacks[static_cast<std::size_t>(--free_stack_count)];
  // The tops are staggered, so that the stacks do not all meet in the same sets of the cache.
  const std::size_t bytes = stack_bytes - static_cast<std::size_t>(fiber.stack) % 16 * 256;
  fiber.context = context::make_fcontext(stack_of(fiber.stack) + bytes, bytes, run);
}

void jump(int to, bool for_good) {
  const int from = std::exchange(running, to);
  context::fcontext_t target = host_context;
  const void* stack = host_stack;
  std::size_t bytes = host_stack_bytes;
  if (to != host) {
    Fiber& fiber = fibers[static_cast<std::size_t>(to)];
    if (fiber.stack == no_stack) start(fiber);
    target = fiber.context;
    stack = stack_of(fiber.stack);
    bytes = stack_bytes;
  }
  ++stats.switches;
  void* fake_stack = nullptr;
  if (__sanitizer_start_switch_fiber) __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_stack, stack, bytes);
  const std::intptr_t who = for_good ? nobody : from;
  const context::transfer_t back = context::jump_fcontext(target, reinterpret_cast<void*>(who));
  if (__sanitizer_finish_switch_fiber) __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
  landed(back);
}

// The bottom of every fiber's stack.
void run(context::transfer_t from) {
  if (__sanitizer_finish_switch_fiber) {
    const void* stack;
    std::size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
    if (reinterpret_cast<std::intptr_t>(from.data) == host) host_stack = stack, host_stack_bytes = bytes;
  }
  landed(from);
  for (;;) {
    const int stack = fibers[static_cast<std::size_t>(running)].stack;
    const int next = life_of_a_fiber();
    if (next != host && fibers[static_cast<std::size_t>(next)].stack == no_stack) {  // it takes this stack over
      fibers[static_cast<std::size_t>(next)].stack = stack;
      running = next;
    } else {
      free_stacks[static_cast<std::size_t>(free_stack_count++)] = stack;
      jump(next, true);
    }
  }
}

}  // namespace

void prepare_fibers(int count, int (*life)()) {
  life_of_a_fiber = life;
  if (std::exchange(abandoned, false))
    allow_access(stack_of(0), max_fibers * (guard_bytes + stack_bytes) - guard_bytes);
  free_stack_count = 0;
  for (int i = count; i-- > 0;) {
    free_stacks[static_cast<std::size_t>(free_stack_count++)] = i;
    fibers[static_cast<std::size_t>(i)].stack = no_stack;
  }
}

int current_fiber() { return running; }
void switch_to(int fiber) { jump(fiber, false); }

void abandon_fibers() {
  abandoned = true;
  jump(host, true);
  std::abort();
}

}  // namespace executor
