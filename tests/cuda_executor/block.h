// A block of threads as fibers: what stands behind __syncthreads, the warp collectives and shared memory. Functions
// with a Location fail there, with an Error, if the kernel breaks CUDA's rules.
#pragma once

#include <cstddef>
#include <functional>
#include <type_traits>

#include "vector_types.h"

extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace executor {

// Where in a kernel; as a default argument, where the caller stands (std::source_location needs clang 16).
struct Location {
  const char* file;
  int line;
  static constexpr Location current(const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
    return {file, line};
  }
};

// Ends the kernel with an Error: "block (1,0,0), thread (5,0,0): <printf> (file:line)".
[[noreturn, gnu::format(printf, 2, 3)]] void fault(Location where, const char* format, ...);

// Runs `kernel` as each of the block's threads, in the order of `schedule`; blockIdx, blockDim and gridDim are set.
// With must_wait, a thread that ends without wait_for_previous_kernel is a mistake. `when_waited`, where there is one,
// is called as soon as all threads have waited; none goes on before.
void run_block(const std::function<void()>& kernel, bool must_wait, const std::function<void()>& when_waited = nullptr);
void wait_for_previous_kernel();

// Returns when every thread of the block is at this very barrier.
void block_barrier(Location where);
struct Votes {
  int any, all, count;
};
// A barrier that tells each thread how many gave a predicate other than 0.
Votes block_vote(int predicate, Location where);

// What the last lane to arrive does for all: lanes[i] is the payload of lane i, null for a lane outside the mask.
using Combine = void (*)(void* const (&lanes)[warpSize]);
// Returns when all lanes of the mask are at this very collective, and `combine` has run.
void warp_collective(unsigned mask, void* payload, Combine combine, Location where);
int lane();

// Shared memory of the running block: `key` tells the arrays of a kernel apart. Aligned to `alignment` but to no more
// than it promises, and poisoned at the start of each block.
void* static_shared_memory(const void* key, std::size_t bytes, std::size_t alignment, Location where);
void* dynamic_shared_memory(Location where);

template <class T, class Site>
T& shared(Site, Location where = Location::current()) {
  static_assert(std::is_trivially_default_constructible_v<T>, "nvcc allows no constructors in shared memory");
  static const char key = 0;
  return *static_cast<T*>(static_shared_memory(&key, sizeof(T), alignof(T), where));
}

}  // namespace executor
