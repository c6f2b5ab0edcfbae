#include "core/gpu.cuh"
#include "core/unary_functions.h"

namespace mixgrad::kernels {
namespace {

template <class F>
struct BackwardOf {
  F f;
  __device__ float operator()(float saved, float dy) const { return f.backward(saved, dy); }
};

}  // namespace

void unary(Cuda device, const Unary& f, const Tensor& x, const Tensor& out) {
  functions::with_function<float>(f, [&](auto g) { map(device, out.numel(), g, write(out), read(x)); });
}

void unary_backward(Cuda device, const Unary& f, const Tensor& saved, const Tensor& dy, const Tensor& dx) {
  functions::with_function<float>(
      f, [&](auto g) { map(device, dx.numel(), BackwardOf<decltype(g)>{g}, write(dx), read(saved), read(dy)); });
}

}  // namespace mixgrad::kernels
