// The CPU's kernels: each hands the convolution to the path that nn/conv2d_cpu/paths.h names. Tiles know one group of
// channels; several are put one behind the other for them, and go through in turn:
//
//   x     [N, H, W, (a a a b b b)]    ->    [N, H, W, (a a a)]  [N, H, W, (b b b)]
#include <utility>

#include "core/elementwise.h"
#include "core/layout.h"
#include "core/matmul.h"
#include "core/reduce.h"
#include "nn/conv2d_cpu/paths.h"

namespace mixgrad::kernels {
namespace {

Conv2dShape one_group(Conv2dShape s) {
  s.in_channels /= s.groups;
  s.out_channels /= s.groups;
  s.groups = 1;
  return s;
}

// Images [N, H, W, C] as [groups, N, H, W, C / groups], and back.
Tensor split_groups(const Conv2dShape& s, const Tensor& x) {
  if (s.groups == 1 || !x.defined()) return x;
  const std::int64_t pixels = x.shape().product(0, 3), channels = x.size(3) / s.groups;
  Tensor groups = Tensor::empty(x.shape(), x.options());
  transpose(Cpu{}, x.raw_view({1, pixels, 1, s.groups, channels}, 0),
            groups.raw_view({1, s.groups, 1, pixels, channels}, 0));
  return groups;
}

void join_groups(const Conv2dShape& s, const Tensor& groups, const Tensor& x) {
  const std::int64_t pixels = x.shape().product(0, 3), channels = x.size(3) / s.groups;
  if (s.groups > 1)
    transpose(Cpu{}, groups.raw_view({1, s.groups, 1, pixels, channels}, 0),
              x.raw_view({1, pixels, 1, s.groups, channels}, 0));
}

// The numbers of group g of what lists one group after the other.
Tensor part(const Conv2dShape& s, const Tensor& groups, std::int64_t g) {
  if (s.groups == 1 || !groups.defined()) return groups;
  const std::int64_t each = groups.numel() / s.groups;
  return groups.raw_view({each}, g * each);
}

// With a pixel in each row, y = x w^T: dx = dy w, dweight = dy^T x, and dbias is the sum of rows.
void product_gradients(Cpu device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& dy,
                       Out dx, Out dweight, Out dbias) {
  const std::int64_t rows = s.batch * s.positions(), in = s.in_channels, out = s.out_channels;
  const Tensor gradients = dy.raw_view({rows, out}, 0);
  if (dx.defined()) matmul(device, gradients, weight.raw_view({out, in}, 0), {}, dx.raw_view({rows, in}, 0));
  if (dweight.defined())
    matmul(device, gradients, x.raw_view({rows, in}, 0), {.transpose_a = true}, dweight.raw_view({out, in}, 0));
  if (dbias.defined()) sum(device, dy.raw_view({1, rows, out}, 0), 1, dbias.raw_view({1, out}, 0));
}

}  // namespace

void conv2d_forward(Cpu, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  if (by_tiles(s, x.dtype())) {
    const Tensor xs = split_groups(s, x), ys = s.groups == 1 ? y : Tensor::empty(y.shape(), y.options());
    const Conv2dShape one = one_group(s);
    const auto forward = by_winograd(one) ? conv2d_winograd::forward : conv2d_tiles::forward;
    for (std::int64_t g = 0; g < s.groups; ++g)
      forward(one, part(s, xs, g), part(s, weight, g), part(s, bias, g), part(s, ys, g));
    return join_groups(s, ys, y);
  }
  (by_depthwise(s) ? conv2d_depthwise::forward : conv2d_loops::forward)(s, x, weight, bias, y);
}

void conv2d_backward(Cpu device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& y,
                     const Tensor& grad, Out dx, Out dweight, Out dbias) {
  if (by_tiles(s, grad.dtype()) && !gradients_by_products(s)) {
    const Tensor xs = split_groups(s, x), ys = split_groups(s, y), dys = split_groups(s, grad);
    const Tensor dxs = s.groups == 1 || !dx.defined() ? dx : Tensor::empty(dx.shape(), dx.options());
    const Conv2dShape one = one_group(s);
    const auto input_gradient = by_winograd(one) ? conv2d_winograd::input_gradient : conv2d_tiles::input_gradient;
    for (std::int64_t g = 0; g < s.groups; ++g) {
      const Tensor in = part(s, xs, g), out = part(s, ys, g), dout = part(s, dys, g);
      Tensor dw = part(s, dweight, g), db = part(s, dbias, g);
      if (dx.defined()) input_gradient(one, part(s, weight, g), out, dout, part(s, dxs, g));
      if (dw.defined() && weight_gradient_by_winograd(one))
        conv2d_winograd::weight_gradient(one, in, out, dout, std::exchange(dw, Tensor()));
      if (dw.defined() || db.defined()) conv2d_tiles::parameter_gradients(one, in, out, dout, dw, db);
    }
    if (dx.defined()) join_groups(s, dxs, dx);
    return;
  }
  Tensor dy = grad;
  if (s.relu) unary_backward(device, functions::Relu{}, y, grad, dy = Tensor::empty(grad.shape(), grad.options()));
  if (by_tiles(s, dy.dtype())) return product_gradients(device, s, x, weight, dy, dx, dweight, dbias);
  const bool depthwise = by_depthwise(s);
  if (dx.defined()) (depthwise ? conv2d_depthwise::input_gradient : conv2d_loops::input_gradient)(s, weight, dy, dx);
  if (dweight.defined() || dbias.defined())
    (depthwise ? conv2d_depthwise::parameter_gradients : conv2d_loops::parameter_gradients)(s, x, dy, dweight, dbias);
}

}  // namespace mixgrad::kernels
