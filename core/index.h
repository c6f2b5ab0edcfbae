// Rows by index, and class indices as one-hot rows.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

// out[m, ...] = x[indices[m], ...] for x [N, ...] and indices i32 [M]; rows may repeat, their gradients add up.
// Any dtype (differentiable for f32 and f64). Throws when an index is outside 0..N-1.
Tensor gather(const Tensor& x, const Tensor& indices);

// Class indices i32 [N] as rows [N, classes] with a 1 at each index. Throws when an index is outside 0..classes-1.
Tensor one_hot(const Tensor& indices, std::int64_t classes, DType dtype = DType::f32);

// Throws "op: index 7 at position 3 is outside 0..4" unless all indices (i32) are in 0..size-1; for size 0, at once on
// either device.
void check_indices(const char* op, const Tensor& indices, std::int64_t size);

namespace kernels {
MIXGRAD_KERNEL(gather, const Tensor& x, const Tensor& indices, Out out);
MIXGRAD_KERNEL(gather_backward, const Tensor& indices, const Tensor& dy, Out dx);  // dx is overwritten
MIXGRAD_KERNEL(one_hot, const Tensor& indices, Out out);
// As mixgrad::check_indices; on the GPU, the error is thrown when the host next waits for the device (core/cuda.h).
MIXGRAD_KERNEL(check_indices, const char* op, const Tensor& indices, std::int64_t size);
}  // namespace kernels

}  // namespace mixgrad
