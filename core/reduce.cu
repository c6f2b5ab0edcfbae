#include <limits>

#include "core/broadcast.cuh"
#include "core/column_sums.cuh"
#include "core/reduce.h"

namespace mixgrad::kernels {
namespace {

// Whether element i of a column comes before element j as its extreme.
template <class T>
__device__ bool comes_first(Extreme which, T a, std::int32_t i, T b, std::int32_t j) {
  const bool a_beats = beats(which, a, b), b_beats = beats(which, b, a);
  return a_beats == b_beats ? i < j : a_beats;
}

// A warp for each output.
template <class T>
__global__ void arg_extreme_kernel(Extreme which, const T* x, std::int64_t outputs, std::int32_t n, std::int64_t inner,
                                   std::int32_t* out) {
  wait_for_previous_kernel();
  const std::int64_t output = global_index() / warp_threads;
  const auto lane = static_cast<std::int32_t>(threadIdx.x % warp_threads);
  if (output >= outputs) return;
  const T* column = x + output / inner * n * inner + output % inner;
  std::int32_t best = lane < n ? lane : 0;
  for (std::int32_t i = lane; i < n; i += warp_threads)
    if (comes_first(which, column[i * inner], i, column[best * inner], best)) best = i;
  for (int step = warp_threads / 2; step > 0; step /= 2) {
    const std::int32_t other = __shfl_xor_sync(~0u, best, step);
    if (comes_first(which, column[other * inner], other, column[best * inner], best)) best = other;
  }
  if (lane == 0) out[output] = best;
}

template <class T>
__global__ void take_along_axis_kernel(const T* x, const std::int32_t* index, std::int64_t outputs, std::int64_t n,
                                       std::int64_t inner, T* out) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i < outputs) out[i] = x[(i / inner * n + index[i]) * inner + i % inner];
}

__global__ void take_along_axis_backward_kernel(const std::int32_t* index, const float* dy, std::int64_t elements,
                                                std::int64_t n, std::int64_t inner, float* dx) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i >= elements) return;
  const std::int64_t output = i / (n * inner) * inner + i % inner;
  dx[i] = index[output] == i / inner % n ? dy[output] : 0;
}

struct Scale {
  float factor;
  __device__ float operator()(float x) const { return factor * x; }
};

}  // namespace

void sum(Cuda device, const Tensor& x, double divisor, Out out) {
  column_sums<1>(device, x.size(0), x.size(1), x.size(2), Element{read(x)}, write(out), divisor);
}

void sum_backward(Cuda device, const Tensor& dy, double factor, Out dx) {
  map_broadcast<float, float>(device, Scale{static_cast<float>(factor)}, dx,
                              {dy.raw_view({dy.size(0), 1, dy.size(1)}, 0)});
}

void arg_extreme(Cuda device, Extreme which, const Tensor& x, Out out) {
  with_cuda_dtype(x.dtype(), [&]<class T>(T) {
    launch_threads(device, out.numel() * warp_threads, arg_extreme_kernel<T>, which, read<T>(x), out.numel(),
                   static_cast<std::int32_t>(x.size(1)), x.size(2), write<std::int32_t>(out));
  });
}

void take_along_axis(Cuda device, const Tensor& x, const Tensor& index, Out out) {
  with_cuda_dtype(x.dtype(), [&]<class T>(T) {
    launch_threads(device, out.numel(), take_along_axis_kernel<T>, read<T>(x), read<std::int32_t>(index), out.numel(),
                   x.size(1), x.size(2), write<T>(out));
  });
}

void take_along_axis_backward(Cuda device, const Tensor& index, const Tensor& dy, Out dx) {
  launch_threads(device, dx.numel(), take_along_axis_backward_kernel, read<std::int32_t>(index), read(dy), dx.numel(),
                 dx.size(1), dx.size(2), write(dx));
}

}  // namespace mixgrad::kernels
