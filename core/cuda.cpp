#include "core/cuda.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace mixgrad {
namespace {

constexpr const char* oldest = "8.0";  // the least compute capability there is machine code for
constexpr int oldest_major = 8;

int attribute(cudaDeviceAttr name) {
  int value = 0;
  check_cuda("cuda", cudaDeviceGetAttribute(&value, name, 0));
  return value;
}

// A piece of pinned memory through which host memory goes to the device, and the event after which it is free again.
class StagingSlot {
 public:
  static constexpr std::size_t size = std::size_t{4} << 20;

  void upload(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
    if (!memory_) {
      check_cuda("upload", cudaMallocHost(&memory_, size));
      check_cuda("upload", cudaEventCreateWithFlags(&sent_, cudaEventDisableTiming));
    }
    check_cuda("upload", cudaEventSynchronize(sent_));
    std::memcpy(memory_, from, bytes);
    check_cuda("upload", cudaMemcpyAsync(to, memory_, bytes, cudaMemcpyHostToDevice, stream));
    check_cuda("upload", cudaEventRecord(sent_, stream));
  }

 private:
  void* memory_ = nullptr;
  cudaEvent_t sent_ = nullptr;
};

// The first device, its stream and what goes with it. Lives as long as the process, as the allocator does.
struct DeviceState {
  DeviceState() {
    check_available(cuda);
    check_cuda("cuda", cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    void* memory = cuda_allocate(sizeof(DeviceError));
    check(memory != nullptr, "cuda: out of memory");
    error = static_cast<DeviceError*>(memory);
    check_cuda("cuda", cudaMemsetAsync(error, 0, sizeof(DeviceError), stream));
  }
  cudaStream_t stream = nullptr;
  DeviceError* error = nullptr;
  std::array<StagingSlot, 2> staging;  // one is filled while the other is on its way
  std::size_t next_slot = 0;
};

DeviceState& state() {
  static DeviceState* const state = new DeviceState;
  return *state;
}

void throw_posted(const DeviceError& error) {
  if (error.op == 0) return;
  check_cuda("cuda", cudaMemsetAsync(state().error, 0, sizeof(DeviceError), state().stream));
  fail(std::bit_cast<const char*>(static_cast<std::uintptr_t>(error.op)), ": index ", error.index, " at position ",
       error.position, " is outside 0..", error.size - 1);
}

}  // namespace

void check_cuda(const char* op, cudaError_t status) {
  check(status == cudaSuccess, op, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")");
}

void check_available(Device device) {
  if (device == cpu) return;
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  check(status == cudaSuccess && count > 0, "no CUDA device",
        status == cudaSuccess ? "" : std::string(": ") + cudaGetErrorString(status));
  const int major = attribute(cudaDevAttrComputeCapabilityMajor), minor = attribute(cudaDevAttrComputeCapabilityMinor);
  check(major >= oldest_major, "the CUDA device has compute capability ", major, ".", minor, "; mixgrad needs ",
        oldest);
}

cudaStream_t cuda_stream() { return state().stream; }
void* current_stream() { return cuda_stream(); }
DeviceError* device_error() { return state().error; }

void* cuda_allocate(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, bytes);
  if (status == cudaSuccess) return memory;
  static_cast<void>(cudaGetLastError());  // else the next check would report it again
  if (status != cudaErrorMemoryAllocation) check_cuda("allocate", status);
  return nullptr;
}

void cuda_deallocate(void* memory) noexcept { static_cast<void>(cudaFree(memory)); }

void upload(void* to, const void* from, std::size_t bytes) {
  DeviceState& device = state();
  cudaStreamCaptureStatus capture{};
  check_cuda("upload", cudaStreamIsCapturing(device.stream, &capture));
  check(capture == cudaStreamCaptureStatusNone, "upload: host memory cannot be read inside a captured step");
  for (std::size_t done = 0; done < bytes;) {
    const std::size_t piece = std::min(bytes - done, StagingSlot::size);
    device.staging[device.next_slot].upload(device.stream, static_cast<std::byte*>(to) + done,
                                            static_cast<const std::byte*>(from) + done, piece);
    device.next_slot = 1 - device.next_slot;
    done += piece;
  }
}

void download(void* to, const void* from, std::size_t bytes) {
  check_cuda("download", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, state().stream));
  synchronize();
}

void synchronize() {
  DeviceError error{};
  check_cuda("synchronize",
             cudaMemcpyAsync(&error, state().error, sizeof error, cudaMemcpyDeviceToHost, state().stream));
  check_cuda("synchronize", cudaStreamSynchronize(state().stream));
  throw_posted(error);
}

}  // namespace mixgrad
