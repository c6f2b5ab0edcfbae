#include "core/gpu.cuh"
#include "core/series.h"

namespace mixgrad::kernels {
namespace {

struct Values {
  const float* from[Series::most_columns];
};

// A thread for each value.
__global__ void append_row_kernel(Values values, std::int64_t rows, float* to, std::int32_t* count) {
  wait_for_previous_kernel();
  const std::int32_t row = *count;
  if (row < rows) to[row * blockDim.x + threadIdx.x] = *values.from[threadIdx.x];
  __syncthreads();
  if (threadIdx.x == 0) *count = row + 1;
}

}  // namespace

void append_row(Cuda device, std::span<const Tensor> values, const Tensor& rows, const Tensor& count) {
  Values from{};
  std::transform(values.begin(), values.end(), from.from, [](const Tensor& value) { return read(value); });
  launch(device, append_row_kernel, 1, static_cast<unsigned>(values.size()), 0, from, rows.size(0), write(rows),
         write<std::int32_t>(count));
}

}  // namespace mixgrad::kernels
