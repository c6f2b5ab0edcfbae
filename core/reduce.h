// Reductions over one axis or over everything. Sums are taken in a fixed order, cut by the shape alone: the same
// bits for any number of threads.
#pragma once

#include "core/tensor.h"

namespace mixgrad {

struct ReduceOptions {
  bool keepdim = false;  // keep the reduced axis with extent 1
};

// Over one axis (negative counts from the end): the axis is dropped, or kept with extent 1.
Tensor sum(const Tensor& x, int axis, ReduceOptions options = {});
Tensor mean(const Tensor& x, int axis, ReduceOptions options = {});  // throws on an empty axis
// The largest element; the gradient goes to the first of equal maxima. Throws on an empty axis.
Tensor max(const Tensor& x, int axis, ReduceOptions options = {});
// The index (i32) of the first largest element. Not differentiable. Throws on an empty axis.
Tensor argmax(const Tensor& x, int axis, ReduceOptions options = {});

// Over all elements, to a scalar of shape [].
Tensor sum(const Tensor& x);
Tensor mean(const Tensor& x);
Tensor max(const Tensor& x);

namespace kernels {
// out[o, i] = scale * sum over n of x[o, n, i], for x [outer, n, inner] and out [outer, inner].
MIXGRAD_KERNEL(sum, const Tensor& x, const Tensor& out, double scale);
// The place (i32) of the first maximum over n, for x [outer, n, inner]; nan counts as the largest.
MIXGRAD_KERNEL(argmax, const Tensor& x, const Tensor& out);
// out[o, i] = x[o, index[o, i], i]
MIXGRAD_KERNEL(take, const Tensor& x, const Tensor& index, const Tensor& out);
// dx[o, index[o, i], i] = dy[o, i], zero elsewhere
MIXGRAD_KERNEL(take_backward, const Tensor& index, const Tensor& dy, const Tensor& dx);
}  // namespace kernels

}  // namespace mixgrad
