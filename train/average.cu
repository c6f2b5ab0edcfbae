#include <algorithm>

#include "core/gpu.cuh"
#include "train/average.h"

namespace mixgrad::kernels {
namespace {

constexpr std::size_t most_averages = 64;  // of a launch

struct Averages {
  float* weights[most_averages];
  float* average[most_averages];
  std::int64_t size[most_averages];
};

// A row of blocks for each pair.
__global__ void update_averages_kernel(Averages all, const float* coefficients) {
  wait_for_previous_kernel();
  const UpdateAverage<float> update(coefficients);
  if (update.does_nothing()) return;
  float *const weights = all.weights[blockIdx.y], *const average = all.average[blockIdx.y];
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = global_index(); i < all.size[blockIdx.y]; i += step) update(weights[i], average[i]);
}

}  // namespace

void update_averages(Cuda device, std::span<const train::Averaged> pairs, const Tensor& coefficients) {
  for (std::size_t first = 0; first < pairs.size(); first += most_averages) {
    const auto some = pairs.subspan(first, std::min(most_averages, pairs.size() - first));
    Averages all{};
    std::int64_t largest = 0;
    for (std::size_t i = 0; i < some.size(); ++i) {
      all.weights[i] = write(some[i].weights);
      all.average[i] = write(some[i].average);
      all.size[i] = some[i].weights.numel();
      largest = std::max(largest, all.size[i]);
    }
    const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(blocks_for(largest), 256));
    launch(device, update_averages_kernel, dim3(blocks, static_cast<unsigned>(some.size())), block_threads, 0, all,
           read(coefficients));
  }
}

}  // namespace mixgrad::kernels
