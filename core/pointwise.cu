#include <algorithm>

#include "core/broadcast.cuh"
#include "core/elementwise.h"
#include "core/pointwise.h"

namespace mixgrad::kernels {
namespace {

constexpr std::size_t most_additions = 64;  // of a launch

struct Additions {
  float* to[most_additions];
  const float* from[most_additions];
  std::int64_t size[most_additions];
};

// A row of blocks for each addition.
__global__ void add_each_kernel(Additions additions) {
  wait_for_previous_kernel();
  float* const to = additions.to[blockIdx.y];
  const float* const from = additions.from[blockIdx.y];
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  for (std::int64_t i = global_index(); i < additions.size[blockIdx.y]; i += step) to[i] += from[i];
}

}  // namespace

void add_each(Cuda device, std::span<const Addition> all) {
  for (std::size_t first = 0; first < all.size(); first += most_additions) {
    const auto some = all.subspan(first, std::min(most_additions, all.size() - first));
    Additions additions{};
    std::int64_t largest = 0;
    for (std::size_t i = 0; i < some.size(); ++i) {
      additions.to[i] = write(some[i].a);
      additions.from[i] = read(some[i].b);
      additions.size[i] = some[i].a.numel();
      largest = std::max(largest, additions.size[i]);
    }
    const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(blocks_for(largest), 256));
    launch(device, add_each_kernel, dim3(blocks, static_cast<unsigned>(some.size())), block_threads, 0, additions);
  }
}

void binary(Cuda device, const functions::Arithmetic& f, const Tensor& a, const Tensor& b, Out out) {
  std::visit([&](auto g) { map_broadcast<float, float, float>(device, g, out, {a, b}); }, f);
}

void compare(Cuda device, const functions::Comparison& f, const Tensor& a, const Tensor& b, Out out) {
  with_cuda_dtype(a.dtype(), [&]<class T>(T) {
    std::visit([&](auto g) { map_broadcast<std::uint8_t, T, T>(device, g, out, {a, b}); }, f);
  });
}

void where(Cuda device, const Tensor& condition, const Tensor& a, const Tensor& b, Out out) {
  map_broadcast<float, std::uint8_t, float, float>(device, functions::Choose{}, out, {condition, a, b});
}

}  // namespace mixgrad::kernels
