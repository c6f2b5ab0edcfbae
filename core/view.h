// Views: the same elements with another shape, or a slice of the first axis. No data moves; gradients flow through.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

// The elements in the same order with another shape. One extent may be -1 and is then inferred.
// Throws "reshape: [4, 6] has 24 elements, [5, -1] does not fit".
Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> extents);
Tensor reshape(const Tensor& x, const Shape& shape);
Tensor flatten(const Tensor& x);  // [N, ...] to [N, product of the rest]

// Rows begin..end-1 of the first axis. Throws unless 0 <= begin <= end <= size(0).
Tensor slice(const Tensor& x, std::int64_t begin, std::int64_t end);

}  // namespace mixgrad
