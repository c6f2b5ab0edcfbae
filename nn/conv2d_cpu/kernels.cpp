// The CPU's kernels: each hands the convolution to the path that nn/conv2d_cpu/paths.h names. Most know one group of
// channels; several are put one behind the other for them, and go through in turn:
//
//   x     [N, H, W, (a a a b b b)]    ->    [N, H, W, (a a a)]  [N, H, W, (b b b)]
#include <utility>

#include "core/elementwise.h"
#include "core/layout.h"
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

}  // namespace

void conv2d_forward(Cpu, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  if (by_depthwise(s)) return conv2d_depthwise::forward(s, x, weight, bias, y);
  const Tensor xs = split_groups(s, x), ys = s.groups == 1 ? y : Tensor::empty(y.shape(), y.options());
  const Conv2dShape one = one_group(s);
  const auto forward = x.dtype() == DType::f64 ? conv2d_products::forward
                       : by_winograd(one)      ? conv2d_winograd::forward
                                               : conv2d_tiles::forward;
  for (std::int64_t g = 0; g < s.groups; ++g)
    forward(one, part(s, xs, g), part(s, weight, g), part(s, bias, g), part(s, ys, g));
  join_groups(s, ys, y);
}

void conv2d_backward(Cpu device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& y,
                     const Tensor& grad, Out dx, Out dweight, Out dbias) {
  const bool depthwise = by_depthwise(s), products = gradients_by_products(s, grad.dtype());
  Tensor dy = grad;
  if (s.relu && (depthwise || products))
    unary_backward(device, functions::Relu{}, y, grad, dy = Tensor::empty(grad.shape(), grad.options()));
  if (depthwise) {
    if (dx.defined()) conv2d_depthwise::input_gradient(s, weight, dy, dx);
    if (dweight.defined() || dbias.defined()) conv2d_depthwise::parameter_gradients(s, x, dy, dweight, dbias);
    return;
  }
  const Tensor xs = split_groups(s, x), ys = split_groups(s, products ? Tensor() : y), dys = split_groups(s, dy);
  const Tensor dxs = s.groups == 1 || !dx.defined() ? dx : Tensor::empty(dx.shape(), dx.options());
  const Conv2dShape one = one_group(s);
  const auto input_gradient = by_winograd(one) ? conv2d_winograd::input_gradient : conv2d_tiles::input_gradient;
  for (std::int64_t g = 0; g < s.groups; ++g) {
    const Tensor in = part(s, xs, g), w = part(s, weight, g), out = part(s, ys, g), dout = part(s, dys, g);
    Tensor din = part(s, dxs, g), dw = part(s, dweight, g), db = part(s, dbias, g);
    if (products) {
      conv2d_products::backward(one, in, w, dout, din, dw, db);
      continue;
    }
    if (dx.defined()) input_gradient(one, w, out, dout, din);
    if (dw.defined() && weight_gradient_by_winograd(one))
      conv2d_winograd::weight_gradient(one, in, out, dout, std::exchange(dw, Tensor()));
    if (dw.defined() || db.defined()) conv2d_tiles::parameter_gradients(one, in, out, dout, dw, db);
  }
  if (dx.defined()) join_groups(s, dxs, dx);
}

}  // namespace mixgrad::kernels
