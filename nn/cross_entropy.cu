#include "core/gpu.cuh"
#include "core/sums.h"
#include "nn/cross_entropy.h"

namespace mixgrad::kernels {
namespace {

// `lanes` threads for each row, a power of two, of which each keeps up to `held` logits in registers; held = 0 is for
// any number of classes. dlogits may be null.
template <int lanes, int held>
__global__ void cross_entropy_kernel(const float* logits, std::int64_t rows, int all_classes,
                                     CrossEntropyRows<float> target, IndexCheck inside, float* loss, float* dlogits) {
  wait_for_previous_kernel();
  const std::int64_t row = global_index() / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const bool exists = row < rows;  // all threads of a warp take part in its sums
  const int classes = exists ? all_classes : 0;
  const CrossEntropyWeights<float> q = target[exists ? row : 0];
  if (exists) {
    inside(q.y, row);
    inside(q.partner, row);
  }
  // What does not exist has z = -infinity and q = 0.
  const float* const from = logits + row * all_classes + lane;  // this thread's first
  const auto z = [&](int c) { return c < classes ? from[c - lane] : -INFINITY; };
  // f(c, i) for the classes c of this thread, the i-th of those it keeps
  const auto each = [&](auto&& f) {
    UNROLL
    for (int i = 0; i < held; ++i) f(lane + i * lanes, i);
    for (int c = lane; held == 0 && c < classes; c += lanes) f(c, 0);
  };
  const auto over_lanes = [](float value, auto&& combine) {
    UNROLL
    for (int step = lanes / 2; step > 0; step /= 2) value = combine(value, __shfl_xor_sync(~0u, value, step));
    return value;
  };
  const auto over_all = [&](const RunningSum<float>& sum) {
    return over_lanes(static_cast<float>(sum.value()), [](float a, float b) { return a + b; });
  };

  float held_z[held + 1];
  float largest = -INFINITY;
  each([&](int c, int i) { largest = fmaxf(largest, held_z[i] = z(c)); });
  largest = over_lanes(largest, [](float a, float b) { return fmaxf(a, b); });
  const auto shifted = [&](int c, int i) { return (held ? held_z[i] : z(c)) - largest; };
  RunningSum<float> totals, sums_q, values;
  each([&](int c, int i) { totals.add(expf(shifted(c, i))); });
  const float log_total = logf(over_all(totals));
  each([&](int c, int i) {
    const float qc = c < classes ? q(c) : 0;
    sums_q.add(qc);
    if (qc != 0) values.add(q.term(qc, shifted(c, i), log_total));
  });
  const float sum_q = over_all(sums_q), value = over_all(values);
  if (!exists) return;
  if (lane == 0) loss[row] = value;
  if (!dlogits) return;
  float* const to = dlogits + row * classes + lane;
  each([&](int c, int i) {
    if (c < classes) to[c - lane] = q.gradient(q(c), shifted(c, i), log_total, sum_q);
  });
}

}  // namespace

void cross_entropy(Cuda device, const Tensor& logits, const CrossEntropyTarget& target, Out loss, Out dlogits) {
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  const auto launch_with = [&](std::int64_t lanes, auto kernel) {
    launch_threads(device, rows * lanes, kernel, read(logits), rows, static_cast<int>(classes),
                   CrossEntropyRows<float>(target, classes, cuda), IndexCheck("cross_entropy", classes), write(loss),
                   dlogits.defined() ? write(dlogits) : nullptr);
  };
  if (classes <= 16) launch_with(4, cross_entropy_kernel<4, 4>);
  else if (classes <= 64) launch_with(8, cross_entropy_kernel<8, 8>);
  else launch_with(32, cross_entropy_kernel<32, 0>);
}

}  // namespace mixgrad::kernels
