#include "core/gpu.cuh"
#include "core/layout.h"

namespace mixgrad::kernels {
namespace {

// out [a, n, b, m, c] = x [a, m, b, n, c]; one thread for each element of the output.
template <class T>
__global__ void transpose_kernel(const T* x, std::int64_t elements, std::int64_t m, std::int64_t b, std::int64_t n,
                                 std::int64_t c, T* out) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i >= elements) return;
  const std::int64_t ic = i % c, im = i / c % m, ib = i / (c * m) % b, in = i / (c * m * b) % n,
                     ia = i / (c * m * b * n);
  out[i] = x[(((ia * m + im) * b + ib) * n + in) * c + ic];
}

template <class T>
__global__ void copy_columns_kernel(const T* from, std::int64_t from_row, std::int64_t elements, std::int64_t count,
                                    std::int64_t to_row, T* to) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i < elements) to[i / count * to_row + i % count] = from[i / count * from_row + i % count];
}

}  // namespace

void transpose(Cuda device, const Tensor& x, Out out) {
  with_cuda_dtype(x.dtype(), [&]<class T>(T) {
    launch_threads(device, out.numel(), transpose_kernel<T>, read<T>(x), out.numel(), x.size(1), x.size(2), x.size(3),
                   x.size(4), write<T>(out));
  });
}

void copy_columns(Cuda device, const Tensor& from, std::int64_t from_first, std::int64_t count, std::int64_t to_first,
                  Out to) {
  with_cuda_dtype(from.dtype(), [&]<class T>(T) {
    const std::int64_t elements = from.size(0) * count;
    launch_threads(device, elements, copy_columns_kernel<T>, read<T>(from) + from_first, from.size(1), elements, count,
                   to.size(1), write<T>(to) + to_first);
  });
}

}  // namespace mixgrad::kernels
