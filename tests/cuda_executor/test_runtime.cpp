// What the executor finds in host code, each mistake planted, and what the host API answers.
#include <doctest/doctest.h>

#include <cstring>

#include "executor_test.h"

namespace {

using executor::machine;
using executor::run_in_every_order;
using executor::schedule;
using executor::stats;

constexpr int threads = 32;

__global__ void fill(int* y, int value) { y[threadIdx.x] = value; }
__global__ void copy(int* y, const int* x) { y[threadIdx.x] = x[threadIdx.x]; }
__global__ void append(int* y, int* length, const int* value) { y[(*length)++] = *value; }
__global__ void early_return(int* y) {
  if (threadIdx.x == 0) return;
  __syncthreads();
  y[threadIdx.x] = 0;
}

// Sets the executor's knobs back when a test ends.
struct Restore {
  ~Restore() {
    schedule = {};
    machine = {};
    cudaGetLastError();
  }
};

// `count` values of pinned memory.
class Pinned {
 public:
  explicit Pinned(std::size_t count) { must(cudaMallocHost(&data_, count * sizeof(int))); }
  ~Pinned() { cudaFreeHost(data_); }
  Pinned(const Pinned&) = delete;
  Pinned& operator=(const Pinned&) = delete;
  operator int*() const { return data_; }

 private:
  int* data_ = nullptr;
};

// What f() queues in the stream, as a graph.
class Replay {
 public:
  template <class F>
  Replay(cudaStream_t stream, F f) {
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    f();
    cudaGraph_t graph;
    must(cudaStreamEndCapture(stream, &graph));
    must(cudaGraphInstantiate(&executable_, graph));
    must(cudaGraphDestroy(graph));
  }
  ~Replay() { cudaGraphExecDestroy(executable_); }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  void launch(cudaStream_t stream) const { must(cudaGraphLaunch(executable_, stream)); }

 private:
  cudaGraphExec_t executable_ = nullptr;
};

// ---- mistakes of host code ----

TEST_CASE("host code that touches device memory is found") {
  if (!sanitized("host code that touches device memory")) return;
  const Buffer<int> y(threads);
  CHECK(contains(report_of([&] { std::printf("%d\n", y[0]); }), "use-after-poison"));
  CHECK(contains(report_of([&] { std::memset(y, 0, sizeof(int)); }), "use-after-poison"));
  const Stream stream;
  must(executor::launch(fill, 1, threads, 0, stream, y, 1));
  CHECK(contains(report_of([&] { y[0] = 1; }), "use-after-poison"));
}

TEST_CASE("device memory used after cudaFree is found") {
  if (!sanitized("device memory used after cudaFree")) return;
  CHECK(contains(report_of([] {
                   const Stream stream;
                   int* y;
                   must(cudaMalloc(&y, threads * sizeof(int)));
                   const Replay replay(stream, [&] { must(executor::launch(fill, 1, threads, 0, stream, y, 1)); });
                   must(cudaFree(y));
                   replay.launch(stream);
                   must(cudaStreamSynchronize(stream));
                 }),
                 "heap-use-after-free"));
}

// fill, then to the host; `finish` is what should make the host wait.
template <class Finish>
std::vector<int> filled_and_read(Finish finish) {
  const Stream stream;
  const Buffer<int> y(threads);
  const Pinned host(threads);
  must(executor::launch(fill, 1, threads, 0, stream, y, 7));
  must(cudaMemcpyAsync(host, y, threads * sizeof(int), cudaMemcpyDeviceToHost, stream));
  finish(stream);
  return std::vector<int>(host + 0, host + threads);
}

TEST_CASE("a missing stream synchronisation is found") {
  CHECK(run_in_every_order([] {
          return filled_and_read([](cudaStream_t stream) { cudaStreamSynchronize(stream); });
        }) == std::vector<int>(threads, 7));
  CHECK(contains(error_of([] { run_in_every_order([] { return filled_and_read([](cudaStream_t) {}); }); }),
                 "forward, lazy streams, poison 7f: the result is not that of"));
}

// One stream fills, another copies.
template <bool waits>
std::vector<int> passed_between_streams() {
  const Stream first, second;
  const Buffer<int> x(threads), y(threads);
  cudaEvent_t filled;
  must(cudaEventCreateWithFlags(&filled, cudaEventDisableTiming));
  must(executor::launch(fill, 1, threads, 0, first, x, 7));
  must(cudaEventRecord(filled, first));
  if (waits) must(cudaStreamWaitEvent(second, filled));
  must(executor::launch(copy, 1, threads, 0, second, y, x));
  must(cudaEventDestroy(filled));
  return y.read(second);
}

TEST_CASE("a missing cudaStreamWaitEvent is found") {
  CHECK(run_in_every_order(passed_between_streams<true>) == std::vector<int>(threads, 7));
  CHECK(contains(error_of([] { run_in_every_order(passed_between_streams<false>); }), "lazy streams"));
}

// A graph that uploads a value from pinned memory and appends it, replayed with the values 0, 1, 2, 3.
std::vector<int> appended_by_replays(bool own_slots) {
  constexpr int steps = 4;
  const Stream stream;
  const Buffer<int> y(steps), length(1), value(1), counter(1);
  const Pinned slot(1);
  must(cudaMemsetAsync(length, 0, sizeof(int), stream));
  const Replay replay(stream, [&] {
    must(cudaMemcpyAsync(value, slot, sizeof(int), cudaMemcpyHostToDevice, stream));
    must(executor::launch(append, 1, 1, 0, stream, y, length, value));
  });
  for (int step = 0; step < steps; ++step) {
    *slot = step;
    replay.launch(stream);
    if (own_slots) must(cudaStreamSynchronize(stream));
  }
  return y.read(stream);
}

TEST_CASE("a pinned slot that is overwritten between replays of a graph is found") {
  CHECK(run_in_every_order([] { return appended_by_replays(true); }) == std::vector<int>{0, 1, 2, 3});
  CHECK(contains(error_of([] { run_in_every_order([] { return appended_by_replays(false); }); }),
                 "forward, lazy streams, poison 7f: the result is not that of"));
}

TEST_CASE("a fault in a lazy stream is thrown where the host synchronises, and what was queued is gone") {
  const Restore restore;
  schedule.lazy_streams = true;
  const Stream stream;
  const Buffer<int> y(threads);
  must(executor::launch(fill, 1, threads, 0, stream, y, 1));
  must(executor::launch(early_return, 1, threads, 0, stream, y));
  must(executor::launch(fill, 1, threads, 0, stream, y, 2));
  CHECK(contains(error_of([&] { cudaStreamSynchronize(stream); }), "31 thread(s) at the barrier test_runtime.cpp:"));
  CHECK(y.read(stream) == std::vector<int>(threads, 1));
}

// ---- answers ----

TEST_CASE("a copy or memset past a block, or in the wrong direction, is an error") {
  const Restore restore;
  const Stream stream;
  const Buffer<int> y(4);
  int host[5] = {};
  const auto upload = [&](std::size_t bytes) {
    return cudaMemcpyAsync(y, host, bytes, cudaMemcpyHostToDevice, stream);
  };
  CHECK(upload(16) == cudaSuccess);
  CHECK(upload(17) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(host, y + 1, 16, cudaMemcpyDeviceToHost, stream) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(host, y, 16, cudaMemcpyHostToDevice, stream) == cudaErrorInvalidValue);
  CHECK(cudaMemcpyAsync(host, y, 16, cudaMemcpyDefault, stream) == cudaSuccess);
  CHECK(cudaMemsetAsync(y + 3, 0, 8, stream) == cudaErrorInvalidValue);
  CHECK(cudaMemsetAsync(host, 0, 4, stream) == cudaErrorInvalidValue);
  CHECK(cudaFree(host) == cudaErrorInvalidValue);
}

TEST_CASE("memory that the device has not is refused, and what is freed can be had again") {
  const Restore restore;
  machine.memory = 1000;
  std::size_t free, total;
  int *a, *b;
  CHECK(cudaMalloc(&a, 600) == cudaSuccess);
  CHECK(cudaMalloc(&b, 401) == cudaErrorMemoryAllocation);
  CHECK(b == nullptr);
  CHECK(cudaPeekAtLastError() == cudaErrorMemoryAllocation);
  CHECK(cudaGetErrorString(cudaGetLastError()) == std::string("out of memory"));
  CHECK(cudaMalloc(&b, ~std::size_t{0}) == cudaErrorMemoryAllocation);
  CHECK(cudaMalloc(&b, 400) == cudaSuccess);
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(free == 0);
  CHECK(total == 1000);
  CHECK(cudaFree(a) == cudaSuccess);
  CHECK(cudaFree(b) == cudaSuccess);
  CHECK(cudaFree(b) == cudaErrorInvalidValue);
  CHECK(cudaMemGetInfo(&free, &total) == cudaSuccess);
  CHECK(free == 1000);
}

TEST_CASE("a machine without a device says so in every call") {
  const Restore restore;
  machine.devices = 0;
  int count = -1, *y = nullptr;
  cudaStream_t stream;
  CHECK(cudaGetDeviceCount(&count) == cudaErrorNoDevice);
  CHECK(count == 0);
  CHECK(cudaMalloc(&y, 4) == cudaErrorNoDevice);
  CHECK(cudaStreamCreate(&stream) == cudaErrorNoDevice);
  CHECK(executor::launch(fill, 1, threads, 0, nullptr, nullptr, 1) == cudaErrorNoDevice);
  CHECK(cudaGetErrorString(cudaGetLastError()) == std::string("no CUDA-capable device is detected"));
}

TEST_CASE("a device that is too old has no image of the kernel") {
  const Restore restore;
  machine.compute_capability_major = 7;
  int major = 0;
  CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0) == cudaSuccess);
  CHECK(major == 7);
  CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 1) == cudaErrorInvalidDevice);
  CHECK(executor::launch(fill, 1, threads, 0, nullptr, nullptr, 1) == cudaErrorNoKernelImageForDevice);
  cudaDeviceProp properties;
  CHECK(cudaGetDeviceProperties(&properties, 0) == cudaSuccess);
  CHECK(properties.major == 7);
  CHECK(properties.multiProcessorCount == machine.multiprocessors);
}

TEST_CASE("what is not allowed while a stream captures is refused and spoils the capture") {
  const Restore restore;
  const Stream stream, other;
  const Buffer<int> y(threads);
  cudaEvent_t event;
  must(cudaEventCreate(&event));
  int host[threads] = {};
  int* memory = nullptr;
  const auto ended = [&](auto call) {
    must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    CHECK(call() == cudaErrorStreamCaptureUnsupported);
    cudaStreamCaptureStatus status;
    must(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusInvalidated);
    CHECK(executor::launch(fill, 1, threads, 0, stream, y, 1) == cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph;
    const cudaError_t error = cudaStreamEndCapture(stream, &graph);
    CHECK(graph == nullptr);
    return error;
  };
  CHECK(ended([&] { return cudaMalloc(&memory, 4); }) == cudaErrorStreamCaptureInvalidated);
  CHECK(memory == nullptr);
  CHECK(ended([&] { return cudaMallocHost(&memory, 4); }) == cudaErrorStreamCaptureInvalidated);
  CHECK(ended([&] { return cudaFree(y); }) == cudaErrorStreamCaptureInvalidated);
  CHECK(ended([&] { return cudaStreamSynchronize(stream); }) == cudaErrorStreamCaptureInvalidated);
  CHECK(ended([&] { return cudaDeviceSynchronize(); }) == cudaErrorStreamCaptureInvalidated);
  CHECK(ended([&] {  // from pageable memory
          return cudaMemcpyAsync(y, host, sizeof host, cudaMemcpyHostToDevice, stream);
        }) == cudaErrorStreamCaptureInvalidated);

  must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeRelaxed));
  CHECK(cudaMalloc(&memory, 4) == cudaSuccess);
  must(cudaEventRecord(event, stream));
  CHECK(cudaEventQuery(event) == cudaErrorCapturedEvent);
  CHECK(cudaStreamWaitEvent(other, event) == cudaErrorNotSupported);
  cudaGraph_t graph;
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaSuccess);
  CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorIllegalState);
  CHECK(cudaFree(memory) == cudaSuccess);
  must(cudaEventDestroy(event));
}

TEST_CASE("a capture runs nothing; each replay runs it once") {
  stats = {};
  const Stream stream;
  const Buffer<int> y(threads);
  must(executor::launch(fill, 1, threads, 0, stream, y, 1));
  const Replay replay(stream, [&] { must(executor::launch(fill, 1, threads, 0, stream, y, 2)); });
  CHECK(y.read(stream) == std::vector<int>(threads, 1));
  replay.launch(stream);
  replay.launch(stream);
  CHECK(y.read(stream) == std::vector<int>(threads, 2));
  CHECK(stats.launches == 3);
  CHECK(stats.graph_launches == 2);
  CHECK(stats.copies == 2);
  CHECK(stats.synchronizations == 2);
  CHECK(stats.allocations == 1);
}

TEST_CASE("events are ready when their stream has got there, and tell the time between") {
  const Restore restore;
  schedule.lazy_streams = true;
  const Stream stream;
  const Buffer<int> y(threads);
  cudaEvent_t start, end;
  must(cudaEventCreate(&start));
  must(cudaEventCreate(&end));
  float milliseconds = -1;
  CHECK(cudaEventQuery(start) == cudaSuccess);
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorInvalidResourceHandle);
  must(cudaEventRecord(start, stream));
  must(executor::launch(fill, 1, threads, 0, stream, y, 1));
  must(cudaEventRecord(end, stream));
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaErrorNotReady);
  int questions = 0;
  while (cudaEventQuery(end) == cudaErrorNotReady) ++questions;
  CHECK(questions == 3);
  CHECK(cudaEventElapsedTime(&milliseconds, start, end) == cudaSuccess);
  CHECK(milliseconds >= 0);
  must(cudaEventDestroy(start));
  CHECK(cudaEventRecord(start, stream) == cudaErrorInvalidResourceHandle);
  must(cudaEventDestroy(end));
}

}  // namespace
