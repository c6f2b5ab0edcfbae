#include "core/gpu.cuh"
#include "core/index.h"
#include "core/sums.h"

namespace mixgrad::kernels {
namespace {

__global__ void check_indices_kernel(IndexCheck check, const std::int32_t* indices, std::int64_t n) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i < n) check(indices[i], i);
}

template <class T>
__global__ void gather_kernel(const T* x, const std::int32_t* indices, std::int64_t n, IndexCheck inside,
                              std::int64_t row, T* out) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i < n * row) out[i] = x[inside(indices[i / row], i / row) * row + i % row];
}

// One thread for each element of a row of dx: it adds the rows of dy that were gathered from there, in order.
__global__ void gather_backward_kernel(const std::int32_t* indices, const float* dy, std::int64_t n, std::int64_t size,
                                       std::int64_t row, float* dx) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i >= size * row) return;
  RunningSum<float> sum;
  for (std::int64_t m = 0; m < n; ++m)
    if (indices[m] == i / row) sum.add(dy[m * row + i % row]);
  dx[i] = static_cast<float>(sum.value());
}

template <class T>
__global__ void one_hot_kernel(const std::int32_t* indices, std::int64_t n, std::int64_t classes, T* out) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i < n * classes) out[i] = static_cast<T>(indices[i / classes] == i % classes);
}

std::int64_t row_of(const Tensor& x) { return x.shape().product(1, x.rank()); }

}  // namespace

void check_indices(Cuda device, const char* op, const Tensor& indices, std::int64_t size) {
  launch_threads(device, indices.numel(), check_indices_kernel, IndexCheck(op, size), read<std::int32_t>(indices),
                 indices.numel());
}

void gather(Cuda device, const Tensor& x, const Tensor& indices, Out out) {
  with_cuda_dtype(x.dtype(), [&]<class T>(T) {
    launch_threads(device, out.numel(), gather_kernel<T>, read<T>(x), read<std::int32_t>(indices), indices.numel(),
                   IndexCheck(device.op, x.size(0)), row_of(x), write<T>(out));
  });
}

void gather_backward(Cuda device, const Tensor& indices, const Tensor& dy, Out dx) {
  launch_threads(device, dx.numel(), gather_backward_kernel, read<std::int32_t>(indices), read(dy), indices.numel(),
                 dx.size(0), row_of(dx), write(dx));
}

void one_hot(Cuda device, const Tensor& indices, Out out) {
  with_cuda_dtype(out.dtype(), [&]<class T>(T) {
    launch_threads(device, out.numel(), one_hot_kernel<T>, read<std::int32_t>(indices), indices.numel(), out.size(1),
                   write<T>(out));
  });
}

}  // namespace mixgrad::kernels
