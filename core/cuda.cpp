#include "core/cuda.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <vector>

namespace mixgrad {
namespace {

constexpr std::size_t small_upload = std::size_t{16} << 10;  // bytes

// Pinned memory through which host memory is copied to the device, a piece at a time: the host waits only for a piece
// whose previous copy is still in flight.
class StagingRing {
 public:
  StagingRing(std::size_t pieces, std::size_t piece_size) : size_(piece_size), sent_(pieces, nullptr) {}

  void upload(cudaStream_t stream, void* to, const void* from, std::size_t bytes) {
    if (!memory_) {
      void* memory = nullptr;
      check_cuda("upload", cudaMallocHost(&memory, sent_.size() * size_));
      memory_ = static_cast<std::byte*>(memory);
    }
    for (std::size_t done = 0; done < bytes; done += size_) {
      const std::size_t count = std::min(bytes - done, size_);
      std::byte* const piece = memory_ + next_ * size_;
      cudaEvent_t& sent = sent_[next_];
      next_ = (next_ + 1) % sent_.size();
      if (!sent) check_cuda("upload", cudaEventCreateWithFlags(&sent, cudaEventDisableTiming));
      else if (cudaEventQuery(sent) != cudaSuccess) check_cuda("upload", cudaEventSynchronize(sent));
      std::memcpy(piece, static_cast<const std::byte*>(from) + done, count);
      check_cuda("upload",
                 cudaMemcpyAsync(static_cast<std::byte*>(to) + done, piece, count, cudaMemcpyHostToDevice, stream));
      check_cuda("upload", cudaEventRecord(sent, stream));
    }
  }

 private:
  std::size_t size_;
  std::vector<cudaEvent_t> sent_;  // after which each piece is free again
  std::size_t next_ = 0;
  std::byte* memory_ = nullptr;
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
  // One large piece is filled while the other is in flight; with small ones the host is some steps ahead.
  StagingRing large{2, std::size_t{4} << 20}, small{128, small_upload};
};

DeviceState& state() {
  static DeviceState* const state = new DeviceState;
  return *state;
}

bool capturing() {
  cudaStreamCaptureStatus status{};
  check_cuda("cuda", cudaStreamIsCapturing(state().stream, &status));
  return status != cudaStreamCaptureStatusNone;
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
  int major = 0, minor = 0;
  check_cuda("cuda", cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0));
  check_cuda("cuda", cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, 0));
  // There is no machine code for older ones.
  check(major >= 8, "the CUDA device has compute capability ", major, ".", minor, "; mixgrad needs 8.0");
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
  check(!capturing(), "upload: host memory cannot be read inside a captured step");
  (bytes <= small_upload ? device.small : device.large).upload(device.stream, to, from, bytes);
}

void download(void* to, const void* from, std::size_t bytes) {
  check(!capturing(), "download: the host cannot wait for the device inside a captured step");
  check_cuda("download", cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, state().stream));
  synchronize();
}

void synchronize() {
  check(!capturing(), "the host cannot wait for the device inside a captured step");
  DeviceError error{};
  check_cuda("synchronize",
             cudaMemcpyAsync(&error, state().error, sizeof error, cudaMemcpyDeviceToHost, state().stream));
  check_cuda("synchronize", cudaStreamSynchronize(state().stream));
  if (error.op == 0) return;
  check_cuda("cuda", cudaMemsetAsync(state().error, 0, sizeof(DeviceError), state().stream));
  fail(std::bit_cast<const char*>(static_cast<std::uintptr_t>(error.op)), ": index ", error.index, " at position ",
       error.position, " is outside 0..", error.size - 1);
}

}  // namespace mixgrad
