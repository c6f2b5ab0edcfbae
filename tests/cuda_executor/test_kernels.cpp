// What the executor finds in kernels: each known mistake, planted, and the same kernel without it.
#include <doctest/doctest.h>

#include "executor_test.h"

namespace {

using executor::run_in_every_order;

constexpr int threads = 64;

// Runs kernel<<<blocks, threads>>>(out, args...) and returns the count values of out.
template <class T, class... P, class... A>
std::vector<T> outcome(int count, int blocks, void (*kernel)(T*, P...), A... args) {
  const Stream stream;
  const Buffer<T> out(static_cast<std::size_t>(count));
  must(executor::launch(kernel, static_cast<unsigned>(blocks), threads, 0, stream, out, args...));
  return out.read(stream);
}

// ---- order ----

// y[t] = t - 1 through shared memory, from the left neighbour.
template <bool barrier>
__global__ void from_the_left(int* y) {
  SHARED(int[threads], s);
  const int t = static_cast<int>(threadIdx.x);
  s[t] = t;
  if (barrier) __syncthreads();
  y[t] = s[t > 0 ? t - 1 : 0];
}

// y[t] = 0 + 1 + 2 + 3: thread 0 hands out one number per step.
template <bool barrier>
__global__ void handed_out(int* y, int writer) {
  SHARED(int, s);
  const int t = static_cast<int>(threadIdx.x);
  int sum = 0;
  for (int step = 0; step < 4; ++step) {
    if (t == writer) s = step;
    __syncthreads();
    sum += s;
    if (barrier) __syncthreads();
  }
  y[t] = sum;
}

// Sums over the block, twice: the warps' sums pass through shared memory, where the second may overtake the first.
template <bool barrier>
__global__ void two_sums(int* y) {
  SHARED(int[threads / 32], partial);
  const int t = static_cast<int>(threadIdx.x);
  int total = 0;
  for (int step = 0; step < 2; ++step) {
    int sum = t + step;
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(~0u, sum, offset);
    if (t % 32 == 0) partial[t / 32] = sum;
    __syncthreads();
    __syncwarp();
    total += partial[0] + partial[1];
    if (barrier) __syncthreads();
  }
  y[t] = total;
}

TEST_CASE("a kernel without a mistake gives the same bits in every order") {
  CHECK(run_in_every_order([] { return outcome(threads, 1, from_the_left<true>); })[5] == 4);
  CHECK(run_in_every_order([] { return outcome(threads, 1, handed_out<true>, 0); })[5] == 6);
  CHECK(run_in_every_order([] { return outcome(threads, 1, two_sums<true>); })[5] == 2 * 64 * 63 / 2 + 64);
}

TEST_CASE("a missing __syncthreads before a read is found") {
  CHECK(contains(error_of([] { run_in_every_order([] { return outcome(threads, 1, from_the_left<false>); }); }),
                 "reverse, poison ff: the result is not that of forward, poison ff"));
}

TEST_CASE("a missing __syncthreads after a read is found, whichever thread writes") {
  for (const int writer : {0, 31, 32, threads - 1}) {
    CAPTURE(writer);
    CHECK(
        contains(error_of([=] { run_in_every_order([=] { return outcome(threads, 1, handed_out<false>, writer); }); }),
                 "the result is not that of"));
  }
}

TEST_CASE("a warp that overtakes another is found, by the deep order alone if need be") {
  CHECK(contains(error_of([] { run_in_every_order([] { return outcome(threads, 1, two_sums<false>); }); }),
                 "deep, poison ff: the result is not that of"));
}

// Blocks have no order: y = the last block's number, if they ran one after another.
__global__ void last_block(int* y) {
  if (threadIdx.x == 0) *y = static_cast<int>(blockIdx.x);
}

TEST_CASE("a result that depends on the order of blocks is found") {
  CHECK(contains(error_of([] { run_in_every_order([] { return outcome(1, 5, last_block); }); }), "reverse"));
}

__global__ void count_threads(unsigned* y) {
  if (blockIdx.x == 0 && threadIdx.x == 0) atomicExch(y, 0);
  atomicAdd(y, 1u);
}

TEST_CASE("integer atomics add up, and the order of threads is the schedule's") {
  CHECK(outcome(1, 3, count_threads)[0] == 3 * threads);
  CHECK_THROWS_AS(run_in_every_order([] { return outcome(1, 3, count_threads); }), executor::Error);  // the reset
}

// ---- memory ----

__global__ void unwritten_shared(float* y) {
  SHARED(float[threads], s);
  if (threadIdx.x != 3) s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = fmaxf(s[threadIdx.x], 0.0f);  // hides a NaN
}

__global__ void unwritten_dynamic(float* y) {
  DYNAMIC_SHARED(float, s);
  y[threadIdx.x] = s[threadIdx.x];
}

__global__ void copy(float* y, const float* x) { y[threadIdx.x] = x[threadIdx.x]; }

TEST_CASE("a read of shared memory that nobody has written is found, a block's own too") {
  CHECK(contains(error_of([] { run_in_every_order([] { return outcome(threads, 1, unwritten_shared); }); }),
                 "forward, lazy streams, poison 7f: the result is not that of"));
  CHECK(contains(error_of([] {
                   run_in_every_order([] {
                     const Stream stream;
                     const Buffer<float> y(threads);
                     executor::launch(unwritten_dynamic, 1, threads, threads * sizeof(float), stream, y);
                     return y.read(stream);
                   });
                 }),
                 "poison 7f: the result is not that of"));
}

TEST_CASE("a read of device memory that nobody has written is found") {
  CHECK(contains(error_of([] {
                   run_in_every_order([] {
                     const Buffer<float> x(threads);
                     return outcome(threads, 1, copy, static_cast<const float*>(x));
                   });
                 }),
                 "poison 7f: the result is not that of"));
}

__global__ void past_shared(int* y, int i) {
  SHARED(int[threads], s);
  s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = (&s[0])[i];
}

__global__ void past_dynamic(int* y, int i) {
  DYNAMIC_SHARED(int, s);
  y[threadIdx.x] = s[i];
}

__global__ void past_global(int* y, int i) { y[i] = 1; }

TEST_CASE("an access just past an array is found: shared, dynamic shared, global") {
  if (!sanitized("an access just past an array")) return;
  for (const int i : {-1, threads}) {
    CAPTURE(i);
    CHECK(contains(report_of([=] { outcome(threads, 1, past_global, i); }), "AddressSanitizer"));
    CHECK(contains(report_of([=] { outcome(threads, 1, past_shared, i); }), "AddressSanitizer"));
    CHECK(contains(report_of([=] {
                     const Stream stream;
                     const Buffer<int> y(threads);
                     executor::launch(past_dynamic, 1, threads, threads * sizeof(int), stream, y, i);
                   }),
                   "AddressSanitizer"));
  }
  CHECK(report_of([] { outcome(threads, 1, past_global, threads - 1); }) == "");
}

__global__ void load_float4(float* y, const float* x, int first) {
  y[threadIdx.x] = reinterpret_cast<const float4*>(x + first)->y;
}

__global__ void load_float4_of_floats(float* y) {
  SHARED(float[threads], s);
  s[threadIdx.x] = 1;
  __syncthreads();
  y[threadIdx.x] = reinterpret_cast<const float4*>(&s[0])->y;
}

TEST_CASE("a misaligned float4 is found, in an array of floats in shared memory as well") {
  if (!sanitized("a misaligned float4")) return;
  const auto load = [](int first) {
    const Buffer<float> x(threads);
    outcome(threads, 1, load_float4, static_cast<const float*>(x), first);
  };
  CHECK(report_of([=] { load(4); }) == "");
  CHECK(contains(report_of([=] { load(1); }), "misaligned address"));
  CHECK(contains(report_of([=] { outcome(threads, 1, load_float4_of_floats); }), "misaligned address"));
}

__global__ void deep_recursion(int* y, int depth) {
  volatile int frame[64];
  frame[depth % 64] = depth;
  if (depth > 0) deep_recursion(y, depth - 1);
  y[threadIdx.x] = frame[depth % 64];
}

TEST_CASE("a thread that overruns its stack is found") {
  CHECK(report_of([] { outcome(threads, 1, deep_recursion, 10); }) == "");
  CHECK(contains(report_of([] { outcome(threads, 1, deep_recursion, 100000); }), "died"));
}

// ---- barriers and warps ----

__global__ void barrier_for_some(int* y) {
  y[threadIdx.x] = 0;
  if (threadIdx.x < 40) __syncthreads();
}

__global__ void early_return(int* y) {
  if (threadIdx.x == 5) return;
  __syncthreads();
  y[threadIdx.x] = 0;
}

__global__ void two_barriers(int* y) {
  if (threadIdx.x < 32) __syncthreads();
  else __syncthreads();
  y[threadIdx.x] = 0;
}

TEST_CASE("a barrier that not all threads reach is found in every order") {
  for (const executor::Schedule& each : executor::every_order()) {
    executor::schedule = each;
    CAPTURE(executor::to_string(each));
    std::string text = error_of([] { outcome(threads, 2, barrier_for_some); });
    CHECK(contains(text, "40 thread(s) at the barrier test_kernels.cpp:"));
    CHECK(contains(text, "24 thread(s) returned, the first is thread (40,0,0)"));
    text = error_of([] { outcome(threads, 1, early_return); });
    CHECK(contains(text, "block (0,0,0): not all threads get there: 63 thread(s) at the barrier"));
    CHECK(contains(text, "1 thread(s) returned, the first is thread (5,0,0)"));
    CHECK(contains(error_of([] { outcome(threads, 1, two_barriers); }), "waits at another barrier"));
  }
  executor::schedule = {};
}

__global__ void shuffle(int* y, unsigned mask, int lanes) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  y[threadIdx.x] = lane;
  if (lane < lanes) y[threadIdx.x] = __shfl_down_sync(mask, lane, 1);
}

TEST_CASE("a shuffle is found whose mask is not the lanes that come") {
  const auto text = [](unsigned mask, int lanes) {
    return error_of([=] { outcome(threads, 1, shuffle, mask, lanes); });
  };
  CHECK(text(~0u, 32) == "");
  CHECK(contains(text(0xffff, 32), "thread (15,0,0): lane 15 reads lane 16, which is not in the mask 0000ffff"));
  CHECK(contains(text(0xfffe, 16), "thread (0,0,0): lane 0 is not in the mask 0000fffe"));
  CHECK(contains(text(~0u, 16), "32 thread(s) in the warp collective test_kernels.cpp:"));
}

__global__ void small_warp(int* y) { y[threadIdx.x] = __shfl_xor_sync(~0u, 1, 1); }

TEST_CASE("a full mask in a warp of fewer than 32 threads is found") {
  const Stream stream;
  const Buffer<int> y(40);
  CHECK(contains(error_of([&] { executor::launch(small_warp, 1, 40, 0, stream, y); }),
                 "thread (32,0,0): mask ffffffff names lanes that a warp of 8 has not"));
}

__global__ void collectives(int* y) {
  const int t = static_cast<int>(threadIdx.x), lane = t % 32;
  int right = 1;
  right &= __shfl_sync(~0u, lane, 7) == 7;
  right &= __shfl_sync(~0u, lane, 3, 8) == (lane & ~7) + 3;
  right &= __shfl_xor_sync(~0u, lane, 5) == (lane ^ 5);
  right &= __shfl_up_sync(~0u, lane, 2) == (lane < 2 ? lane : lane - 2);
  right &= __shfl_down_sync(~0u, 1.5 * lane, 2) == 1.5 * (lane < 30 ? lane + 2 : lane);
  right &= __shfl_down_sync(~0u, lane, 4, 16) == (lane % 16 < 12 ? lane + 4 : lane);
  right &= __ballot_sync(~0u, lane % 2) == 0xaaaaaaaau;
  right &= __any_sync(~0u, lane == 3) == 1 && __any_sync(~0u, 0) == 0;
  right &= __all_sync(~0u, lane >= 0) == 1 && __all_sync(~0u, lane > 0) == 0;
  right &= __syncthreads_count(t < 10) == 10;
  right &= __syncthreads_or(t == 63) == 1 && __syncthreads_or(0) == 0;
  right &= __syncthreads_and(t < 64) == 1 && __syncthreads_and(t < 63) == 0;
  if (lane < 16) right &= __shfl_xor_sync(0xffff, lane, 1) == (lane ^ 1);
  y[t] = right;
}

TEST_CASE("shuffles and votes follow CUDA's definitions in every order") {
  CHECK(run_in_every_order([] { return outcome(threads, 1, collectives); }) == std::vector<int>(threads, 1));
}

// ---- launches ----

__global__ void fill(int* y, int value) { y[blockIdx.x * blockDim.x + threadIdx.x] = value; }

__global__ void too_much_static(int* y) {
  SHARED(char[48 * 1024], a);
  SHARED(char[16], b);
  a[threadIdx.x] = b[threadIdx.x % 16] = 0;
  *y = 0;
}

TEST_CASE("too much shared memory is found") {
  CHECK(contains(error_of([] { outcome(threads, 1, too_much_static); }), "more than 48 KiB"));
  const Stream stream;
  const Buffer<int> y(threads);
  const auto launch = [&](std::size_t bytes) {
    return executor::launch(past_dynamic, 1, threads, bytes, stream, y, 0);
  };
  CHECK(launch(48 * 1024) == cudaSuccess);
  CHECK(launch(48 * 1024 + 4) == cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(past_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20) ==
        cudaErrorInvalidValue);
  CHECK(cudaFuncSetAttribute(past_dynamic, cudaFuncAttributeMaxDynamicSharedMemorySize, 100 * 1024) == cudaSuccess);
  CHECK(launch(100 * 1024) == cudaSuccess);
  CHECK(
      contains(error_of([&] { launch(0); }), "dynamic shared memory, but the kernel was launched with 0 bytes of it"));
}

TEST_CASE("a host pointer is no argument of a kernel") {
  const Stream stream;
  std::vector<int> y(threads);
  int* pinned = nullptr;
  REQUIRE(cudaMallocHost(&pinned, threads * sizeof(int)) == cudaSuccess);
  for (int* each : {y.data(), pinned})
    CHECK(error_of([&] { executor::launch(fill, 1, threads, 0, stream, each, 1); }) ==
          "launch: argument 1 of the kernel points to host memory");
  CHECK(cudaFreeHost(pinned) == cudaSuccess);
}

void fill_after_previous(int* y, int number) {
  if (threadIdx.x == 5) return;
  executor::wait_for_previous_kernel();
  y[threadIdx.x] = number;
}

TEST_CASE("a kernel that does not wait for the one before it is found, if it was launched beside it") {
  const Stream stream;
  const Buffer<int> y(threads);
  CHECK(executor::launch(fill_after_previous, 1, threads, 0, stream, y, 1) == cudaSuccess);
  CHECK(contains(error_of([&] { executor::launch<true>(fill_after_previous, 1, threads, 0, stream, y, 1); }),
                 "thread (5,0,0): returns without having waited for the kernel before it"));
  CHECK(executor::launch<true>(fill_after_previous, 1, 5, 0, stream, y, 1) == cudaSuccess);
}

void copy_before_waiting(const int* from, int* to, int early) {
  int number = 0;
  if (static_cast<int>(threadIdx.x) == early) number = *from;
  executor::wait_for_previous_kernel();
  if (static_cast<int>(threadIdx.x) != early) number = *from;
  to[threadIdx.x] = number;
}

TEST_CASE("a kernel that reads before it has waited for the one before it is found, whichever thread does") {
  if (!sanitized("a kernel that reads before it has waited for the one before it is found")) return;
  const Stream stream;
  const Buffer<int> from(1), to(threads);
  const auto run = [&](auto launch, int early) {
    executor::launch(fill, 1, 1, 0, stream, from, 7);
    launch(copy_before_waiting, 2, threads, 0, stream, from, to, early);
    return to.read(stream);
  };
  const auto beside = [](auto&&... arguments) { return executor::launch<true>(arguments...); };
  const auto behind = [](auto&&... arguments) { return executor::launch<false>(arguments...); };
  for (const int early : {0, 5, threads - 1}) {
    CHECK(contains(report_of([&] { run(beside, early); }), "copy_before_waiting"));
    CHECK(run(behind, early) == std::vector<int>(threads, 7));
  }
  CHECK(run(beside, -1) == std::vector<int>(threads, 7));
}

TEST_CASE("a grid or block of an impossible size is an error of the launch, as in CUDA") {
  const Stream stream;
  const Buffer<int> y(threads);
  for (const auto& [grid, block] :
       {std::pair(dim3(0), dim3(1)), std::pair(dim3(1), dim3(1025)), std::pair(dim3(1, 65536), dim3(1)),
        std::pair(dim3(1), dim3(32, 33)), std::pair(dim3(1), dim3(1, 1, 65)), std::pair(dim3(1), dim3(1, 0))})
    CHECK(executor::launch(fill, grid, block, 0, stream, y, 1) == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration);
  CHECK(cudaGetLastError() == cudaSuccess);
}

}  // namespace
