#include "core/gpu.cuh"
#include "core/sums.h"
#include "nn/cross_entropy.h"

namespace mixgrad::kernels {
namespace {

struct Rows {
  const float* logits;  // [rows, classes]
  std::int64_t rows;
  int classes;
  const std::int32_t *y, *partner;
  const float *lambda, *class_weights;  // or null
  std::int64_t lambda_step;             // 0: one for all rows
  float kept, spread;                   // 1 - s, s / C
  IndexCheck inside;
};

// `lanes` threads for each row, a power of two, of which each keeps up to `held` logits in registers; held = 0 is for
// any number of classes. `weighted`: there are class weights. dlogits may be null.
template <int lanes, int held, bool weighted>
__global__ void cross_entropy_kernel(Rows r, float* loss, float* dlogits) {
  wait_for_previous_kernel();
  const std::int64_t row = global_index() / lanes;
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const bool exists = row < r.rows;  // all threads of a warp take part in its sums
  const int classes = exists ? r.classes : 0;
  const auto y = static_cast<int>(exists ? r.inside(r.y[row], row) : 0);
  const auto partner = static_cast<int>(exists ? r.inside(r.partner[row], row) : 0);
  const float share = exists && r.lambda ? r.lambda[row * r.lambda_step] : 1.0f;
  // What does not exist has z = -infinity and q = 0.
  const float* const from = r.logits + row * r.classes + lane;  // this thread's first
  const auto z = [&](int c) { return c < classes ? from[c - lane] : -INFINITY; };
  const auto q = [&](int c) {
    const float value = smoothed_label(c == y, c == partner, share, r.kept, r.spread);
    return c >= classes ? 0.0f : weighted ? r.class_weights[c] * value : value;
  };
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

  float held_z[held + 1], held_q[held + 1];  // of each class: z, then exp(z - largest); q
  float largest = -INFINITY;
  RunningSum<float> totals, sums_q, values;
  each([&](int c, int i) { largest = fmaxf(largest, held_z[i] = z(c)); });
  largest = over_lanes(largest, [](float a, float b) { return fmaxf(a, b); });
  each([&](int c, int i) {
    const float shifted = (held ? held_z[i] : z(c)) - largest, qc = held_q[i] = q(c);
    totals.add(held_z[i] = expf(shifted));
    sums_q.add(qc);
    values.add(qc != 0 ? -qc * shifted : 0);
  });
  const auto over_all = [&](const RunningSum<float>& sum) {
    return over_lanes(static_cast<float>(sum.value()), [](float a, float b) { return a + b; });
  };
  const float total = over_all(totals), sum_q = over_all(sums_q), value = over_all(values) + sum_q * logf(total);
  if (!exists) return;
  if (lane == 0) loss[row] = value;
  if (!dlogits) return;
  float* const to = dlogits + row * classes + lane;
  const float scale = sum_q / total;
  each([&](int c, int i) {
    const float gradient = held ? held_z[i] * scale - held_q[i] : expf(z(c) - largest) * scale - q(c);
    if (c < classes) to[c - lane] = gradient;
  });
}

template <int lanes, int held>
void launch_with(Cuda device, const Rows& r, float* loss, float* dlogits) {
  with_constant(r.class_weights != nullptr, [&](auto weighted) {
    launch_threads(device, r.rows * lanes, cross_entropy_kernel<lanes, held, weighted.value>, r, loss, dlogits);
  });
}

}  // namespace

void cross_entropy(Cuda device, const Tensor& logits, const CrossEntropyTarget& target, Out loss, Out dlogits) {
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  const Rows r{.logits = read(logits),
               .rows = rows,
               .classes = static_cast<int>(classes),
               .y = read<std::int32_t>(target.y),
               .partner = read<std::int32_t>(target.partner),
               .lambda = target.lambda.defined() ? read(target.lambda) : nullptr,
               .class_weights = target.class_weights.defined() ? read(target.class_weights) : nullptr,
               .lambda_step = target.lambda.defined() && target.lambda.rank() ? 1 : 0,
               .kept = static_cast<float>(1 - target.label_smoothing),
               .spread = static_cast<float>(target.label_smoothing / static_cast<double>(classes)),
               .inside = IndexCheck("cross_entropy", classes)};
  float* const pd = dlogits.defined() ? write(dlogits) : nullptr;
  if (classes <= 16) launch_with<4, 4>(device, r, write(loss), pd);
  else if (classes <= 64) launch_with<8, 8>(device, r, write(loss), pd);
  else launch_with<32, 0>(device, r, write(loss), pd);
}

}  // namespace mixgrad::kernels
