// What CUDA kernels are written with (private: for .cu files).
//
// One source serves two compilers: nvcc, and the host's compiler with the executor of tests/cuda_executor, which runs
// kernels on a CPU. Hence SHARED(T, name) for a __shared__ variable, DYNAMIC_SHARED(T, name) for the shared memory
// whose size the launch gives, and launch() instead of <<<>>>.
//
//   __global__ void scale_kernel(float factor, const float* x, float* out, std::int64_t n) { ... }
//   void scale(Cuda device, float factor, const Tensor& x, const Tensor& out) {
//     launch(device, scale_kernel, blocks_for(out.numel()), block_threads, 0, factor, read(x), write(out), ...);
//   }
//
// Kernels add in a fixed order and use no atomics on floats, so that the same input always gives the same bits.
// Tensors on the device are f32, or i32 and u8 for labels and images.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "core/cuda.h"
#include "core/tensor.h"

#ifdef __CUDACC__
#define SHARED(T, name) __shared__ T name
#define DYNAMIC_SHARED(T, name)                                          \
  extern __shared__ __align__(16) unsigned char dynamic_shared_memory[]; \
  T* const name = reinterpret_cast<T*>(dynamic_shared_memory)
#endif

namespace mixgrad {

inline constexpr int warp_threads = 32;
inline constexpr int block_threads = 256;  // of kernels that do not choose

constexpr unsigned blocks_for(std::int64_t n, std::int64_t per_block = block_threads) {
  return static_cast<unsigned>((n + per_block - 1) / per_block);
}

// Queues kernel(args...) on the device's stream. A grid without blocks (an empty tensor) does nothing. Throws with the
// operation's name when the launch is refused.
template <class... P, class... A>
void launch(Cuda device, void (*kernel)(P...), dim3 grid, dim3 block, std::size_t dynamic_shared_bytes, A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "launch: wrong number of kernel arguments");
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  if (dynamic_shared_bytes > std::size_t{48} << 10)
    check_cuda(device.op, cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                               static_cast<int>(dynamic_shared_bytes)));
  const auto stream = static_cast<cudaStream_t>(device.stream);
#ifdef __CUDACC__
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = dynamic_shared_bytes;
  config.stream = stream;
  check_cuda(device.op, cudaLaunchKernelEx(&config, kernel, static_cast<P>(std::forward<A>(args))...));
#else
  check_cuda(device.op, executor::launch(kernel, grid, block, dynamic_shared_bytes, stream,
                                         static_cast<P>(std::forward<A>(args))...));
#endif
}

// The elements of a tensor on the device; write() counts as a write (Tensor::mutable_data).
template <class T = float>
const T* read(const Tensor& x) {
  return x.cuda_data<T>();
}
template <class T = float>
T* write(const Tensor& x) {
  return x.mutable_cuda_data<T>();
}

// with_dtype (core/dtype.h) for what exists on the device.
template <class F>
decltype(auto) with_cuda_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::i32: return f(std::int32_t{});
    case DType::u8: return f(std::uint8_t{});
    default: return f(float{});
  }
}

// The index of this thread among all of a one-dimensional launch.
__device__ inline std::int64_t global_index() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

// `width` neighbouring elements, read and written as one.
template <class T, int width>
struct alignas(sizeof(T) * width) Pack {
  T element[width];
};

template <int width, class T>
__device__ Pack<T, width> load(const T* from) {
  return *reinterpret_cast<const Pack<T, width>*>(from);
}

template <int width, class F, class Out, class... In>
__global__ void map_kernel(std::int64_t n, F f, Out* out, const In*... in) {
  const std::int64_t first = global_index() * width;
  if (first + width <= n) {
    Pack<Out, width> result;
    [&](const Pack<In, width>&... x) {
      for (int i = 0; i < width; ++i) result.element[i] = f(x.element[i]...);
    }(load<width>(in + first)...);
    *reinterpret_cast<Pack<Out, width>*>(out + first) = result;
  } else {
    for (std::int64_t i = first; i < n; ++i) out[i] = f(in[i]...);
  }
}

template <class T>
bool is_aligned(const T* p, int width) {
  return reinterpret_cast<std::uintptr_t>(p) % (sizeof(T) * static_cast<unsigned>(width)) == 0;
}

// out[i] = f(in[i]...) for i below n, four elements at a time where all arrays are aligned to that.
template <class F, class Out, class... In>
void map(Cuda device, std::int64_t n, F f, Out* out, const In*... in) {
  constexpr int width = 4;
  if (is_aligned(out, width) && (is_aligned(in, width) && ...))
    launch(device, map_kernel<width, F, Out, In...>, blocks_for(n, block_threads * width), block_threads, 0, n, f, out,
           in...);
  else launch(device, map_kernel<1, F, Out, In...>, blocks_for(n), block_threads, 0, n, f, out, in...);
}

// The sum of `value` over the 32 threads of a warp, in each of them.
__device__ inline float warp_sum(float value) {
  for (int other = warp_threads / 2; other > 0; other /= 2) value += __shfl_xor_sync(~0u, value, other);
  return value;
}

// The sum of `value` over a block of `threads` (a multiple of 32) in each of its threads. All must call it.
template <int threads>
__device__ float block_sum(float value) {
  constexpr int warps = threads / warp_threads;
  using Sums = float[warps];
  SHARED(Sums, sums);
  const int thread = static_cast<int>(threadIdx.x);
  value = warp_sum(value);
  __syncthreads();  // sums may still be read from the call before
  if (thread % warp_threads == 0) sums[thread / warp_threads] = value;
  __syncthreads();
  float total = 0;
  for (int warp = 0; warp < warps; ++warp) total += sums[warp];
  return total;
}

}  // namespace mixgrad
