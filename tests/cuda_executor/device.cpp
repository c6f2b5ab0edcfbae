// The device that the host API reports, and the errors of the API.
#include <cstdio>
#include <utility>

#include "api.h"
#include "shared_memory.h"

namespace executor {
namespace {

thread_local cudaError_t last_error = cudaSuccess;

constexpr int max_threads_per_block = 1024;

struct ErrorText {
  cudaError_t error;
  const char* name;
  const char* text;
};
constexpr ErrorText error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState", "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
};

const ErrorText& text_of(cudaError_t error) {
  for (const ErrorText& each : error_texts)
    if (each.error == error) return each;
  static constexpr ErrorText unknown{cudaErrorInvalidValue, "unrecognized error code", "unrecognized error code"};
  return unknown;
}

cudaError_t attribute_value(cudaDeviceAttr attribute, int& value) {
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: value = max_threads_per_block; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock: value = static_cast<int>(default_shared_memory); return cudaSuccess;
    case cudaDevAttrWarpSize: value = 32; return cudaSuccess;
    case cudaDevAttrMultiProcessorCount: value = machine.multiprocessors; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor: value = machine.compute_capability_major; return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor: value = machine.compute_capability_minor; return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      value = static_cast<int>(machine.shared_memory_per_block);
      return cudaSuccess;
  }
  return cudaErrorInvalidValue;
}

bool exists(int device) { return device >= 0 && device < machine.devices; }

}  // namespace

std::recursive_mutex& api_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

cudaError_t remember(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

}  // namespace executor

using namespace executor;

cudaError_t cudaGetLastError() { return std::exchange(last_error, cudaSuccess); }
cudaError_t cudaPeekAtLastError() { return last_error; }
const char* cudaGetErrorName(cudaError_t error) { return text_of(error).name; }
const char* cudaGetErrorString(cudaError_t error) { return text_of(error).text; }

cudaError_t cudaGetDeviceCount(int* count) {
  *count = machine.devices;
  return api([] { return cudaSuccess; });
}

cudaError_t cudaGetDevice(int* device) {
  return api([&] {
    *device = 0;
    return cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return api([&] { return !exists(device) ? cudaErrorInvalidDevice : device ? cudaErrorNotSupported : cudaSuccess; });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return api([&] { return exists(device) ? attribute_value(attribute, *value) : cudaErrorInvalidDevice; });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return api([&] {
    if (!exists(device)) return cudaErrorInvalidDevice;
    *properties = {.name = {},
                   .totalGlobalMem = machine.memory,
                   .sharedMemPerBlock = default_shared_memory,
                   .sharedMemPerBlockOptin = machine.shared_memory_per_block,
                   .major = machine.compute_capability_major,
                   .minor = machine.compute_capability_minor,
                   .multiProcessorCount = machine.multiprocessors,
                   .warpSize = 32,
                   .maxThreadsPerBlock = max_threads_per_block};
    std::snprintf(properties->name, sizeof properties->name, "CPU executor");
    return cudaSuccess;
  });
}
