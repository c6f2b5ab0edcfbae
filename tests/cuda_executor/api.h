// What every function of the host API has in common.
#pragma once

#include <mutex>

#include "cuda_runtime_api.h"
#include "executor.h"

namespace executor {

std::recursive_mutex& api_mutex();
cudaError_t remember(cudaError_t error);  // for cudaGetLastError; returns it

// Runs the body of an API function: one host thread at a time, nothing on a machine without a device.
template <class Body>
cudaError_t api(Body body) {
  const std::scoped_lock lock(api_mutex());
  return remember(machine.devices > 0 ? body() : cudaErrorNoDevice);
}

}  // namespace executor
