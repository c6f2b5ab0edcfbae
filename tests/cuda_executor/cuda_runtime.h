// Found instead of NVIDIA's header of this name when a .cu file is compiled as C++: CUDA's keywords, types, device
// functions and host API, carried out on the CPU. Start at README.md.
#pragma once

#include "cuda_runtime_api.h"
#include "device_functions.h"
#include "launch.h"
#include "vector_types.h"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(bytes) alignas(bytes)
// The executor must see each array, which a keyword cannot tell it.
#define __shared__ static_assert(false, "use SHARED(T, name) or DYNAMIC_SHARED(T, name)");

// SHARED(T, name): `name` refers to a T in the block's shared memory. DYNAMIC_SHARED(T, name): a T* to what the launch
// asked for.
#define SHARED(T, name) auto& name = executor::shared<T>([] {})
#define DYNAMIC_SHARED(T, name) \
  T* name = static_cast<T*>(executor::dynamic_shared_memory(executor::Location::current()))
