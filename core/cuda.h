// The CUDA runtime, as host code uses it (private: for builds with CUDA; kernels are written with core/gpu.cuh).
//
// All work goes to one stream, in order: freed memory can be reused at once, and a value is complete on the device
// before the next kernel reads it. The host waits only in download() and synchronize(). CUDA tensors may be used by one
// thread at a time.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace mixgrad {

// Throws "conv2d_forward: out of memory (cudaErrorMemoryAllocation)" unless status is success.
void check_cuda(const char* op, cudaError_t status);

cudaStream_t cuda_stream();  // of the device; throws as check_available(cuda) does

// Uncached device memory; allocate does not throw, and returns null when there is none left.
void* cuda_allocate(std::size_t bytes);
void cuda_deallocate(void* memory) noexcept;

// Host to device, through pinned memory: returns once `from` may change. Throws inside a captured step, which would
// read the same bytes again at each replay.
void upload(void* to, const void* from, std::size_t bytes);
// Device to host; waits for the device, and throws what a kernel has reported (DeviceError). Throws inside a captured
// step, too.
void download(void* to, const void* from, std::size_t bytes);
// Waits for the device, and throws what a kernel has reported.
void synchronize();

// How a kernel reports bad input, such as an index out of range: the first error is kept in device memory, and the next
// download or synchronize throws "gather: index 7 at position 3 is outside 0..4".
struct DeviceError {
  std::uint64_t op;  // the address of its name on the host; 0: no error
  std::int64_t index, position, size;
};
DeviceError* device_error();  // in device memory

}  // namespace mixgrad
