// Reductions over one axis, several, or everything. Sums are computed in a fixed order, cut by the shape alone: the
// same bits for any number of threads.
#pragma once

#include <initializer_list>
#include <vector>

#include "core/tensor.h"

namespace mixgrad {

struct ReduceOptions {
  bool keepdim = false;  // keep each reduced axis with extent 1
};

// The axes of a reduction: sum(x, 1), mean(x, {0, 1, 2}). Negative ones count from the end.
struct Axes : std::vector<int> {
  Axes(int axis) : std::vector<int>{axis} {}
  Axes(std::initializer_list<int> axes) : std::vector<int>(axes) {}
};

// Each reduced axis is dropped, or kept with extent 1. Throw on an axis that does not exist or is given twice.
Tensor sum(const Tensor& x, const Axes& axes, ReduceOptions options = {});
Tensor mean(const Tensor& x, const Axes& axes, ReduceOptions options = {});  // throws on an empty axis
// The largest or smallest element; on ties the gradient goes to the first. nan propagates. Throw on an empty axis.
Tensor max(const Tensor& x, const Axes& axes, ReduceOptions options = {});
Tensor min(const Tensor& x, const Axes& axes, ReduceOptions options = {});
// The index (i32) of the first largest element, or of the first nan. Not differentiable. Throws on an empty axis.
Tensor argmax(const Tensor& x, int axis, ReduceOptions options = {});

// Over all elements, to a scalar of shape [].
Tensor sum(const Tensor& x);
Tensor mean(const Tensor& x);
Tensor max(const Tensor& x);
Tensor min(const Tensor& x);

enum class Extreme { max, min };
// Whether a takes the place of b as the extreme; a nan does in any case.
template <class T>
MIXGRAD_HOST_DEVICE bool beats(Extreme which, T a, T b) {
  return a != a || (which == Extreme::max ? a > b : a < b);
}

namespace kernels {
// out[o, i] = (sum over n of x[o, n, i]) / divisor, for x [outer, n, inner] and out [outer, inner].
MIXGRAD_KERNEL(sum, const Tensor& x, double divisor, Out out);
// dx[o, n, i] = factor dy[o, i], for dy [outer, inner] and dx [outer, n, inner].
MIXGRAD_KERNEL(sum_backward, const Tensor& dy, double factor, Out dx);
// The index (i32) of the first extreme over n, for x [outer, n, inner]; nan counts as the extreme.
MIXGRAD_KERNEL(arg_extreme, Extreme which, const Tensor& x, Out out);
// out[o, i] = x[o, index[o, i], i]
MIXGRAD_KERNEL(take_along_axis, const Tensor& x, const Tensor& index, Out out);
// dx[o, index[o, i], i] = dy[o, i], zero elsewhere
MIXGRAD_KERNEL(take_along_axis_backward, const Tensor& index, const Tensor& dy, Out dx);
}  // namespace kernels

}  // namespace mixgrad
