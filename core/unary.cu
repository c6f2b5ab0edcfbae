#include "core/elementwise.h"
#include "core/gpu.cuh"

namespace mixgrad::kernels {

void unary(Cuda device, const functions::Unary& f, const Tensor& x, Out out) {
  std::visit([&](auto g) { map(device, out.numel(), g, write(out), read(x)); }, f);
}

void unary_backward(Cuda device, const functions::Unary& f, const Tensor& saved, const Tensor& dy, Out dx) {
  std::visit(
      [&]<class F>(F g) { map(device, dx.numel(), functions::Backward<F>{g}, write(dx), read(saved), read(dy)); }, f);
}

}  // namespace mixgrad::kernels
