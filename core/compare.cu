#include "core/broadcast.cuh"
#include "core/compare.h"
#include "core/elementwise.h"

namespace mixgrad::kernels {

void compare(Cuda device, const functions::Comparison& f, const Tensor& a, const Tensor& b, Out out) {
  with_cuda_dtype(a.dtype(), [&]<class T>(T) {
    std::visit([&](auto g) { map_broadcast<std::uint8_t, T, T>(device, g, out, {a, b}); }, f);
  });
}

void where(Cuda device, const Tensor& condition, const Tensor& a, const Tensor& b, Out out) {
  map_broadcast<float, std::uint8_t, float, float>(device, functions::Choose{}, out, {condition, a, b});
}

}  // namespace mixgrad::kernels
