#include <algorithm>
#include <cmath>

#include "core/broadcast.cuh"
#include "core/pointwise.h"

namespace mixgrad::kernels {
namespace {

struct Add {
  __device__ float operator()(float x, float y) const { return x + y; }
};
struct Sub {
  __device__ float operator()(float x, float y) const { return x - y; }
};
struct Mul {
  __device__ float operator()(float x, float y) const { return x * y; }
};
struct Div {
  __device__ float operator()(float x, float y) const { return x / y; }
};
struct Pow {
  __device__ float operator()(float x, float y) const { return std::pow(x, y); }
};

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

void binary(Cuda device, BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) {
  const auto compute = [&](auto f) { map_broadcast<float, float, float>(device, f, out, {a, b}); };
  switch (op) {
    case BinaryOp::add: return compute(Add{});
    case BinaryOp::sub: return compute(Sub{});
    case BinaryOp::mul: return compute(Mul{});
    case BinaryOp::div: return compute(Div{});
    case BinaryOp::pow: return compute(Pow{});
  }
}

}  // namespace mixgrad::kernels
