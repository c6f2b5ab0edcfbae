// The matrix product.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

struct MatmulOptions {
  bool transpose_a = false;
  bool transpose_b = false;
};

// op(a) op(b), where op transposes if asked to: [m, k] x [k, n] -> [m, n]. f32 and f64, matrices only.
// Throws "matmul: f32[2, 3] and f32[4, 5] do not multiply".
Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options = {});

namespace kernels {
MIXGRAD_KERNEL(matmul, const Tensor& a, const Tensor& b, MatmulOptions options, Out out);
}

}  // namespace mixgrad
