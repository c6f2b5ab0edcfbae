#include "core/gpu.cuh"
#include "nn/cross_entropy.h"

namespace mixgrad::kernels {
namespace {

struct Rows {
  const float* logits;  // [rows, classes]
  std::int64_t rows, classes;
  const std::int32_t *y, *partner;
  const float *lambda, *class_weights;  // or null
  std::int64_t lambda_step;             // 0: one for all rows
  float kept, spread;                   // 1 - s, s / C
  IndexCheck inside;
};

// A warp for each row. dlogits may be null.
__global__ void cross_entropy_kernel(Rows r, float* loss, float* dlogits) {
  const std::int64_t row = global_index() / warp_threads, lane = threadIdx.x % warp_threads;
  if (row >= r.rows) return;
  const float* z = r.logits + row * r.classes;
  const std::int64_t y = r.inside(r.y[row], row), partner = r.inside(r.partner[row], row);
  const float share = r.lambda ? r.lambda[row * r.lambda_step] : 1.0f;
  const auto q = [&](std::int64_t c) {
    const float label = (c == y ? share : 0.0f) + (c == partner ? 1 - share : 0.0f);
    return (r.class_weights ? r.class_weights[c] : 1.0f) * (r.kept * label + r.spread);
  };
  float largest = -INFINITY;
  for (std::int64_t c = lane; c < r.classes; c += warp_threads) largest = fmaxf(largest, z[c]);
  for (int step = warp_threads / 2; step > 0; step /= 2) largest = fmaxf(largest, __shfl_xor_sync(~0u, largest, step));
  float total = 0;
  for (std::int64_t c = lane; c < r.classes; c += warp_threads) total += expf(z[c] - largest);
  const float log_total = logf(warp_sum(total));
  float sum_q = 0, value = 0;
  for (std::int64_t c = lane; c < r.classes; c += warp_threads) {
    const float qc = q(c);
    sum_q += qc;
    if (qc != 0) value += qc * (log_total - (z[c] - largest));
  }
  sum_q = warp_sum(sum_q);
  value = warp_sum(value);
  if (lane == 0) loss[row] = value;
  if (!dlogits) return;
  for (std::int64_t c = lane; c < r.classes; c += warp_threads)
    dlogits[row * r.classes + c] = expf(z[c] - largest - log_total) * sum_q - q(c);
}

}  // namespace

void cross_entropy(Cuda device, const Tensor& logits, const CrossEntropyTarget& target, const Tensor& loss,
                   const Tensor& dlogits) {
  const std::int64_t rows = logits.size(0), classes = logits.size(1);
  const Rows r{.logits = read(logits),
               .rows = rows,
               .classes = classes,
               .y = read<std::int32_t>(target.y),
               .partner = read<std::int32_t>(target.partner),
               .lambda = target.lambda.defined() ? read(target.lambda) : nullptr,
               .class_weights = target.class_weights.defined() ? read(target.class_weights) : nullptr,
               .lambda_step = target.lambda.defined() && target.lambda.rank() ? 1 : 0,
               .kept = static_cast<float>(1 - target.label_smoothing),
               .spread = static_cast<float>(target.label_smoothing / static_cast<double>(classes)),
               .inside = IndexCheck("cross_entropy", classes)};
  launch(device, cross_entropy_kernel, blocks_for(rows * warp_threads), block_threads, 0, r, write(loss),
         dlogits.defined() ? write(dlogits) : nullptr);
}

}  // namespace mixgrad::kernels
