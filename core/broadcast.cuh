// Elementwise CUDA kernels whose operands broadcast (private: for the .cu of such operations).
#pragma once

#include <array>
#include <utility>

#include "core/broadcast.h"
#include "core/gpu.cuh"

namespace mixgrad::gpu {

template <class F, class... In, std::size_t... k>
__device__ auto apply_at(std::index_sequence<k...>, const std::array<std::int64_t, sizeof...(In)>& offsets, F f,
                         const In*... in) {
  return f(in[offsets[k]]...);
}

template <class F, class Out, class... In>
__global__ void broadcast_kernel(BroadcastLoops<sizeof...(In)> loops, std::int64_t n, F f, Out* out, const In*... in) {
  wait_for_previous_kernel();
  const std::int64_t i = global_index();
  if (i < n) out[i] = apply_at(std::index_sequence_for<In...>{}, loops.element(i), f, in...);
}

// out = f(operands...), broadcast to out's shape; operand k has elements of type In[k], out of type Out.
template <class Out, class... In, class F>
void map_broadcast(Cuda device, F f, const Tensor& out, const std::array<Tensor, sizeof...(In)>& operands) {
  [&]<std::size_t... k>(std::index_sequence<k...>) {
    if (((operands[k].shape() == out.shape()) && ...))
      return map(device, out.numel(), f, write<Out>(out), read<In>(operands[k])...);
    const BroadcastLoops<sizeof...(In)> loops({operands[k].shape()...}, out.shape());
    launch_threads(device, out.numel(), broadcast_kernel<F, Out, In...>, loops, out.numel(), f, write<Out>(out),
                   read<In>(operands[k])...);
  }
  (std::index_sequence_for<In...>{});
}

}  // namespace mixgrad::gpu
