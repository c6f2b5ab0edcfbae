// Copies of tensors in another layout. Any dtype; differentiable for f32 and f64.
#pragma once

#include <span>

#include "core/tensor.h"

namespace mixgrad {

// Two axes exchanged; a copy, since tensors are always dense and row-major. Axes may be negative.
Tensor transpose(const Tensor& x, int axis_a, int axis_b);

// Tensors one after the other along an axis; all other extents, the dtypes and the devices must agree. Throws
// "concat: [2, 3] and [2, 4] differ beyond axis 0", and on no tensors.
Tensor concat(std::span<const Tensor> tensors, int axis);
inline Tensor concat(std::initializer_list<Tensor> tensors, int axis) {
  return concat(std::span(tensors.begin(), tensors.size()), axis);
}

namespace kernels {
// out[a, n, b, m, c] = x[a, m, b, n, c]
MIXGRAD_KERNEL(transpose, const Tensor& x, Out out);
// to[o, to_first + i] = from[o, from_first + i] for i below count, for from and to [outer, any]
MIXGRAD_KERNEL(copy_columns, const Tensor& from, std::int64_t from_first, std::int64_t count, std::int64_t to_first,
               Out to);
}  // namespace kernels

}  // namespace mixgrad
