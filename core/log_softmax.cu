#include "core/gpu.cuh"
#include "core/log_softmax.h"
#include "core/sums.h"

namespace mixgrad::kernels {
namespace {

// A warp for each row of n.
__global__ void softmax_kernel(Softmax which, const float* x, std::int64_t rows, std::int64_t n, float* out) {
  wait_for_previous_kernel();
  const std::int64_t row = global_index() / warp_threads, lane = threadIdx.x % warp_threads;
  if (row >= rows) return;
  const float* from = x + row * n;
  float* to = out + row * n;
  float largest = -INFINITY;
  for (std::int64_t i = lane; i < n; i += warp_threads) largest = fmaxf(largest, from[i]);
  for (int step = warp_threads / 2; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
  RunningSum<float> sum;
  for (std::int64_t i = lane; i < n; i += warp_threads) sum.add(expf(from[i] - largest));
  const float total = warp_sum(static_cast<float>(sum.value())), log_total = logf(total);
  for (std::int64_t i = lane; i < n; i += warp_threads)
    to[i] = which == Softmax::plain ? expf(from[i] - largest) / total : from[i] - largest - log_total;
}

__global__ void softmax_backward_kernel(Softmax which, const float* y, const float* dy, std::int64_t rows,
                                        std::int64_t n, float* dx) {
  wait_for_previous_kernel();
  const std::int64_t row = global_index() / warp_threads, lane = threadIdx.x % warp_threads;
  if (row >= rows) return;
  RunningSum<float> terms;
  for (std::int64_t i = row * n + lane; i < (row + 1) * n; i += warp_threads)
    terms.add(softmax_term(which, y[i], dy[i]));
  const float sum = warp_sum(static_cast<float>(terms.value()));
  for (std::int64_t i = row * n + lane; i < (row + 1) * n; i += warp_threads)
    dx[i] = softmax_gradient(which, y[i], dy[i], sum);
}

}  // namespace

void softmax(Cuda device, Softmax which, const Tensor& x, Out out) {
  const std::int64_t n = x.size(-1), rows = x.numel() / n;
  launch_threads(device, rows * warp_threads, softmax_kernel, which, read(x), rows, n, write(out));
}

void softmax_backward(Cuda device, Softmax which, const Tensor& y, const Tensor& dy, Out dx) {
  const std::int64_t n = dx.size(-1), rows = dx.numel() / n;
  launch_threads(device, rows * warp_threads, softmax_backward_kernel, which, read(y), read(dy), rows, n, write(dx));
}

}  // namespace mixgrad::kernels
