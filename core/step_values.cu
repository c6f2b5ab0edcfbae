#include "core/gpu.cuh"
#include "core/step_values.h"

namespace mixgrad::kernels {
namespace {

constexpr std::size_t most_values = 64;

struct Values {
  std::int32_t* memory[most_values];
  std::int64_t end[most_values];  // in the row, in words
};

// One block: all threads have read the row's index before one of them changes it.
__global__ void copy_row_kernel(bool append, std::int32_t* table, std::int64_t rows, std::int64_t words, Values values,
                                std::int32_t* row) {
  wait_for_previous_kernel();
  const std::int32_t index = *row;
  std::int64_t begin = 0;  // of value v
  for (std::int64_t i = threadIdx.x, v = 0; i < words && index < rows; i += blockDim.x) {
    while (i >= values.end[v]) begin = values.end[v++];
    std::int32_t &in_table = table[index * words + i], &in_value = values.memory[v][i - begin];
    if (append) in_table = in_value;
    else in_value = in_table;
  }
  __syncthreads();
  if (threadIdx.x == 0) *row = index + 1;
}

}  // namespace

void copy_row(Cuda device, bool append, const Tensor& table, std::span<const Tensor> values, const Tensor& row) {
  check(values.size() <= most_values, device.op, ": ", values.size(), " values in a row are more than ", most_values);
  Values in_row{};
  std::int64_t end = 0;
  for (std::size_t v = 0; v < values.size(); ++v) {
    std::byte* memory = append ? const_cast<std::byte*>(read<std::byte>(values[v])) : write<std::byte>(values[v]);
    in_row.memory[v] = reinterpret_cast<std::int32_t*>(memory);
    in_row.end[v] = end += values[v].numel();
  }
  launch(device, copy_row_kernel, 1, block_threads, 0, append, reinterpret_cast<std::int32_t*>(write<std::byte>(table)),
         table.size(0), table.size(1), in_row, write<std::int32_t>(row));
}

}  // namespace mixgrad::kernels
