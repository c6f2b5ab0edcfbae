#include "core/gpu.cuh"
#include "nn/dropout.h"

namespace mixgrad::kernels {
namespace {

// A thread for each four elements, which share a call of the generator.
__global__ void dropout_kernel(const float* x, std::int64_t n, std::uint64_t seed, std::uint32_t stream,
                               const std::int32_t* first, std::uint32_t threshold, float scale, float* out) {
  wait_for_previous_kernel();
  const std::int64_t k = global_index();
  if (4 * k >= n) return;
  const auto words = dropout_words(k, seed, stream + (first ? static_cast<std::uint32_t>(*first) : 0));
  for (int i = 0; i < 4 && 4 * k + i < n; ++i)
    out[4 * k + i] = words[static_cast<std::size_t>(i)] < threshold ? 0 : scale * x[4 * k + i];
}

}  // namespace

void dropout(Cuda device, const Tensor& x, const StepStream& stream, std::uint32_t threshold, double scale, Out out) {
  launch(device, dropout_kernel, blocks_for(x.numel(), block_threads * 4), block_threads, 0, read(x), x.numel(),
         stream.seed, stream.number, stream.first ? read<std::int32_t>(stream.first) : nullptr, threshold,
         static_cast<float>(scale), write(out));
}

}  // namespace mixgrad::kernels
