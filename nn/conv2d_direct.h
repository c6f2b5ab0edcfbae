// Convolution on the CPU without a copy of all patches (private): tiles (core/tile.h) whose rows are pixels and whose
// columns are channels, read from where they lie in the padded image. f32, one group of channels.
//
//   forward          rows: outputs (i, j)        depth: (u, v, c)        columns: o     w as [(u, v, c), o]
//   input gradient   rows: pixels a stride apart depth: (u, v, o)        columns: c     w as [(u, v, o), c]
//   weight gradient  rows: (u, v, c)             depth: outputs (i, j)   columns: o     dy as [(i, j), o]
//
// Small images go through some at once, as if they were one. Where outputs are fewer than a quarter of a vector, some
// patches at a time are copied after all, and their numbers are the columns. Images are independent but for the weight
// gradient, of which each range of images sums its own; then the ranges are added in order. All depends on the shape
// alone.
#pragma once

#include "nn/conv2d.h"

namespace mixgrad::kernels {

void conv2d_forward_direct(const Conv2dShape& shape, const Tensor& x, const Tensor& weight, const Tensor& bias,
                           const Tensor& y);
void conv2d_input_gradient_direct(const Conv2dShape& shape, const Tensor& weight, const Tensor& y, const Tensor& dy,
                                  const Tensor& dx);
// Either of dweight and dbias may be undefined.
void conv2d_weight_gradient_direct(const Conv2dShape& shape, const Tensor& x, const Tensor& y, const Tensor& dy,
                                   const Tensor& dweight, const Tensor& dbias);

}  // namespace mixgrad::kernels
