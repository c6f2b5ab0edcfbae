// The building blocks of CUDA kernels (private: for .cu files).
//
// One source serves two compilers: nvcc, and the host's compiler with the executor of tests/cuda_executor, which runs
// kernels on a CPU. Hence SHARED(T, name) for a __shared__ variable, DYNAMIC_SHARED(T, name) for the shared memory
// whose size the launch gives, UNROLL before a loop to unroll, and launch() instead of <<<>>>.
//
//   __global__ void scale_kernel(std::int64_t n, float factor, const float* x, float* out) {
//     wait_for_previous_kernel();
//     ...
//   }
//   void scale(Cuda device, float factor, const Tensor& x, Out out) {
//     launch_threads(device, x.numel(), scale_kernel, x.numel(), factor, read(x), write(out));
//   }
//
// Kernels add in a fixed order and use no float atomics, so that the same input always gives the same bits.
// Tensors on the device are f32, or i32 and u8 for labels and images.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <type_traits>
#include <utility>

#include "core/cuda.h"
#include "core/tensor.h"

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#define SHARED(T, name) __shared__ T name
#define DYNAMIC_SHARED(T, name)                                          \
  extern __shared__ __align__(16) unsigned char dynamic_shared_memory[]; \
  T* const name = reinterpret_cast<T*>(dynamic_shared_memory)
#else
#define UNROLL
#endif

namespace mixgrad::gpu {

inline constexpr int warp_threads = 32;
inline constexpr int block_threads = 256;  // of kernels that do not choose

constexpr unsigned blocks_for(std::int64_t n, std::int64_t per_block = block_threads) {
  return static_cast<unsigned>((n + per_block - 1) / per_block);
}

// The first statement of every kernel: until here it may overlap with the previous kernel, whose results it must not
// have touched (programmatic dependent launch, from compute capability 9.0 on; launch latency dominates small kernels).
__device__ inline void wait_for_previous_kernel() {
#if !defined(__CUDACC__)
  executor::wait_for_previous_kernel();
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
  cudaTriggerProgrammaticLaunchCompletion();  // the next kernel may launch once all blocks of this one have
  cudaGridDependencySynchronize();
#endif
}

// Whether the machine code for this device waits.
bool kernels_wait_for_previous();

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
  cudaLaunchAttribute beside_previous{};
  beside_previous.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  beside_previous.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &beside_previous;
  config.numAttrs = kernels_wait_for_previous();
  check_cuda(device.op, cudaLaunchKernelEx(&config, kernel, static_cast<P>(std::forward<A>(args))...));
#else
  check_cuda(device.op, executor::launch<true>(kernel, grid, block, dynamic_shared_bytes, stream,
                                               static_cast<P>(std::forward<A>(args))...));
#endif
}

// kernel(args...) with a thread for each of n, and the last block's beyond.
template <class... P, class... A>
void launch_threads(Cuda device, std::int64_t n, void (*kernel)(P...), A&&... args) {
  launch(device, kernel, blocks_for(n), block_threads, 0, std::forward<A>(args)...);
}

// The elements of a tensor on the device; write() counts as a write (Tensor::mutable_data).
template <class T = float>
const T* read(const Tensor& x) {
  return x.data<T>(cuda);
}
template <class T = float>
T* write(const Tensor& x) {
  return x.mutable_data<T>(cuda);
}

// with_dtype (core/dtype.h) for the dtypes that exist on the device.
template <class F>
decltype(auto) with_cuda_dtype(DType dtype, F&& f) {
  switch (dtype) {
    case DType::i32: return f(std::int32_t{});
    case DType::u8: return f(std::uint8_t{});
    default: return f(float{});
  }
}

// The index of this thread in a one-dimensional launch.
__device__ inline std::int64_t global_index() { return std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x; }

// A number known at the launch that numbers below 2^31 are divided by, with a multiplication and a shift (Granlund and
// Montgomery, "Division by invariant integers using multiplication", 1994). It may be 0 where nothing is divided.
class Divisor {
 public:
  explicit Divisor(std::int64_t divisor) : divisor_(static_cast<std::uint32_t>(divisor)) {
    if (divisor == 0) return;
    while (std::uint64_t{1} << shift_ < divisor_) ++shift_;
    multiplier_ = static_cast<std::uint32_t>(
        ((std::uint64_t{1} << 32) * ((std::uint64_t{1} << shift_) - divisor_)) / divisor_ + 1);
  }
  MIXGRAD_HOST_DEVICE operator int() const { return static_cast<int>(divisor_); }
  // n becomes n mod divisor; the quotient is returned.
  __device__ int split(int& n) const {
    const auto value = static_cast<std::uint32_t>(n);
    const auto quotient =
        static_cast<int>((static_cast<std::uint32_t>(std::uint64_t{value} * multiplier_ >> 32) + value) >> shift_);
    n -= quotient * static_cast<int>(divisor_);
    return quotient;
  }

 private:
  std::uint32_t divisor_, multiplier_ = 0, shift_ = 0;
};

// check(index, position): the index, or 0 where it is outside 0..size-1: the error has been reported (core/cuda.h), but
// the kernel runs on.
class IndexCheck {
 public:
  IndexCheck(const char* op, std::int64_t size)
      : op_(reinterpret_cast<std::uintptr_t>(op)), size_(size), error_(device_error()) {}
  __device__ std::int64_t operator()(std::int64_t index, std::int64_t position) const {
    if (index >= 0 && index < size_) return index;
    if (atomicCAS(reinterpret_cast<unsigned long long*>(&error_->op), 0ull, op_) == 0) {  // the first error
      error_->index = index;
      error_->position = position;
      error_->size = size_;
    }
    return 0;
  }

 private:
  unsigned long long op_;
  std::int64_t size_;
  DeviceError* error_;
};

// `width` neighbouring elements, read and written as one.
template <class T, int width>
struct alignas(sizeof(T) * width) Pack {
  T element[width];
};

template <int width, class T>
__device__ auto load(const T* from) {
  return *reinterpret_cast<const Pack<std::remove_const_t<T>, width>*>(from);
}
template <class T, int width>
__device__ void store(T* to, const Pack<std::remove_const_t<T>, width>& values) {
  if constexpr (!std::is_const_v<T>) *reinterpret_cast<Pack<T, width>*>(to) = values;
}

template <class T>
bool is_aligned(const T* p, int width) {
  return reinterpret_cast<std::uintptr_t>(p) % (sizeof(T) * static_cast<unsigned>(width)) == 0;
}

template <int width, class F, class... T>
__global__ void update_kernel(std::int64_t n, F f, T*... arrays) {
  wait_for_previous_kernel();
  const std::int64_t first = global_index() * width;
  if (first + width <= n) {
    [&](Pack<std::remove_const_t<T>, width>... packs) {
      for (int i = 0; i < width; ++i) f(packs.element[i]...);
      (store(arrays + first, packs), ...);
    }(load<width>(arrays + first)...);
  } else {
    for (std::int64_t i = first; i < n; ++i) f(arrays[i]...);
  }
}

// f(arrays[i]...) for i < n, in place: f takes a reference to each array's element, and may change those of non-const
// arrays. Four elements at a time where all arrays are aligned for it.
template <class F, class... T>
void update(Cuda device, std::int64_t n, F f, T*... arrays) {
  constexpr int width = 4;
  if ((is_aligned(arrays, width) && ...))
    launch(device, update_kernel<width, F, T...>, blocks_for(n, block_threads * width), block_threads, 0, n, f,
           arrays...);
  else launch_threads(device, n, update_kernel<1, F, T...>, n, f, arrays...);
}

// The functor that assigns what f returns.
template <class F>
struct Assign {
  F f;
  template <class Out, class... In>
  __device__ void operator()(Out& out, const In&... in) const {
    out = f(in...);
  }
};

// out[i] = f(in[i]...) for i < n.
template <class F, class Out, class... In>
void map(Cuda device, std::int64_t n, F f, Out* out, const In*... in) {
  update(device, n, Assign<F>{f}, out, in...);
}

// The functor F(values), for values in device memory.
template <class F>
struct FromMemory {
  const float* values;
  template <class... X>
  __device__ void operator()(X&... x) const {
    F f(values);
    f(x...);
  }
};

// A thread's elements are a multiple of `channels` apart, so that it reads the values of their channels once.
template <int width, class F, class... In>
__global__ void map_channels_kernel(std::int64_t n, Divisor channels, F f, float* out, const In*... in) {
  wait_for_previous_kernel();
  const std::int64_t first = global_index() * width, step = std::int64_t{gridDim.x} * blockDim.x * width;
  if (first >= n) return;
  int channel = static_cast<int>(first);
  channels.split(channel);
  decltype(f.at(0)) of_channel[width];
  UNROLL
  for (int i = 0; i < width; ++i) of_channel[i] = f.at(channel + i);
  for (std::int64_t at = first; at < n; at += step) {
    Pack<float, width> result;
    [&](const Pack<In, width>&... x) {
      UNROLL
      for (int i = 0; i < width; ++i) result.element[i] = of_channel[i](x.element[i]...);
    }(load<width>(in + at)...);
    store(out + at, result);
  }
}

// out[i] = f.at(i mod channels)(in[i]...) for i < n: for functions with values per channel (the last axis). Throws
// unless n < 2^31.
template <class F, class... In>
void map_channels(Cuda device, std::int64_t n, std::int64_t channels, F f, float* out, const In*... in) {
  check(n < std::int64_t{1} << 31, device.op, ": ", n, " elements are more than the CUDA kernel supports (2^31 - 1)");
  if (n == 0) return;
  const auto launch_with = [&]<int width>(std::integral_constant<int, width>) {
    constexpr std::int64_t per_block = block_threads * width, enough_blocks = 1024;
    const std::int64_t rounds = std::clamp<std::int64_t>(n / per_block / enough_blocks, 1, 8);
    // This many blocks together take a multiple of the channels.
    const std::int64_t unit = channels / std::gcd(channels, per_block);
    launch(device, map_channels_kernel<width, F, In...>,
           blocks_for(n, per_block * rounds * unit) * static_cast<unsigned>(unit), block_threads, 0, n,
           Divisor(channels), f, out, in...);
  };
  constexpr int width = 4;
  if (channels % width == 0 && is_aligned(out, width) && (is_aligned(in, width) && ...))
    launch_with(std::integral_constant<int, width>{});
  else launch_with(std::integral_constant<int, 1>{});
}

// The sum of `value` over the 32 threads of a warp, in each of them.
__device__ inline float warp_sum(float value) {
  for (int other = warp_threads / 2; other > 0; other /= 2) value += __shfl_xor_sync(~0u, value, other);
  return value;
}

}  // namespace mixgrad::gpu

namespace mixgrad::kernels {
using namespace gpu;
}
