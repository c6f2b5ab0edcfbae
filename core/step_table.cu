#include "core/gpu.cuh"
#include "core/step_table.h"

namespace mixgrad::kernels {
namespace {

constexpr std::size_t most_places = 16;

struct Places {
  std::int32_t* to[most_places];
  std::int64_t words[most_places];
  std::size_t count;
};

// One block: all threads have read the row's index before one of them changes it.
__global__ void next_row_kernel(const std::int32_t* table, std::int64_t words, Places places, std::int32_t* row) {
  wait_for_previous_kernel();
  const std::int32_t* from = table + *row * words;
  for (std::size_t p = 0; p < places.count; ++p) {
    for (std::int64_t i = threadIdx.x; i < places.words[p]; i += blockDim.x) places.to[p][i] = from[i];
    from += places.words[p];
  }
  __syncthreads();
  if (threadIdx.x == 0) ++*row;
}

}  // namespace

void next_row(Cuda device, const Tensor& table, const std::vector<Tensor>& places, const Tensor& row) {
  check(places.size() <= most_places, device.op, ": ", places.size(), " values in a row are more than ", most_places);
  Places to{};
  for (const Tensor& place : places) {
    to.to[to.count] =
        place.dtype() == DType::f32 ? reinterpret_cast<std::int32_t*>(write(place)) : write<std::int32_t>(place);
    to.words[to.count++] = place.numel();
  }
  launch(device, next_row_kernel, 1, block_threads, 0, read<std::int32_t>(table), table.size(1), to,
         write<std::int32_t>(row));
}

}  // namespace mixgrad::kernels
