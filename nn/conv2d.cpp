#include "nn/conv2d.h"

#include <algorithm>
#include <typeinfo>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/elementwise.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "core/sums.h"
#include "nn/conv2d_direct.h"
#include "nn/init.h"
#include "nn/windows.h"

namespace mixgrad::nn {
namespace {

void check_options(const char* op, const Conv2dOptions& options) {
  check(options.stride >= 1 && options.stride <= most_pixels && options.padding >= 0 && options.padding <= most_pixels,
        op, ": stride ", options.stride, " must be at least 1, padding ", options.padding, " at least 0, both at most ",
        most_pixels);
  check(options.groups >= 1, op, ": ", options.groups, " groups");
}

kernels::Conv2dShape check_shapes(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Conv2dOptions& options, bool relu) {
  check(x.rank() == 4 && weight.rank() == 4, "conv2d: input ", x.shape(), " must be [N, H, W, in], weight ",
        weight.shape(), " [out, kh, kw, in]");
  check_options("conv2d", options);
  const auto [kernel_size, stride, padding, groups, has_bias] = options;
  check(x.size(3) % groups == 0 && x.size(3) / groups == weight.size(3) && weight.size(0) % groups == 0,
        "conv2d: input ", x.shape(), " has ", x.size(3), " channels, weight ", weight.shape(), " expects ",
        weight.size(3), " in each of groups = ", groups);
  check(x.dtype() == weight.dtype(), "conv2d: input is ", name_of(x.dtype()), ", weight ", name_of(weight.dtype()));
  check_same_device("conv2d", x.device(), weight.device());
  if (bias.defined())
    check(bias.shape() == Shape{weight.size(0)} && bias.dtype() == x.dtype(), "conv2d: bias is ", name_of(bias.dtype()),
          bias.shape(), ", weight ", name_of(weight.dtype()), weight.shape(), " needs [", weight.size(0), "]");
  const auto [out_height, out_width] =
      windows_in("conv2d", x, weight.size(1), weight.size(2), stride, padding, "kernel of weight ", weight.shape());
  return {.batch = x.size(0),
          .height = x.size(1),
          .width = x.size(2),
          .in_channels = x.size(3),
          .kernel_height = weight.size(1),
          .kernel_width = weight.size(2),
          .out_channels = weight.size(0),
          .out_height = out_height,
          .out_width = out_width,
          .stride = stride,
          .padding = padding,
          .groups = groups,
          .relu = relu};
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options, bool relu) {
  const kernels::Conv2dShape shape = check_shapes(x, weight, bias, options, relu);
  Tensor y = Tensor::empty({shape.batch, shape.out_height, shape.out_width, shape.out_channels}, x.options());
  // A multiplication and an addition for each output and each weight that it sees.
  const double flops = 2.0 * static_cast<double>(y.numel()) * static_cast<double>(shape.group_patch());
  count_flops(flops);
  dispatch("conv2d_forward", x.device(),
           [&](auto device) { kernels::conv2d_forward(device, shape, x, weight, bias, y); });
  record(y, relu ? "conv2d_relu" : "conv2d", {x, weight, bias},
         [shape, flops, x = Saved(x), weight = Saved(weight), y = Saved(relu ? y : Tensor())](const Tensor& grad,
                                                                                              Gradients& to) {
           Tensor dx, dweight, dbias;
           if (to.needs(0)) dx = Tensor::empty(x->shape(), grad.options());
           if (to.needs(1)) dweight = Tensor::empty(weight->shape(), grad.options());
           if (to.needs(2)) dbias = Tensor::empty({shape.out_channels}, grad.options());
           count_flops(flops * (to.needs(0) + to.needs(1)));
           dispatch("conv2d_backward", grad.device(), [&](auto device) {
             kernels::conv2d_backward(device, shape, *x, *weight, *y, grad, dx, dweight, dbias);
           });
           if (to.needs(0)) to.add(0, dx);
           if (to.needs(1)) to.add(1, dweight);
           if (to.needs(2)) to.add(2, dbias);
         });
  return y;
}

}  // namespace

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  return conv2d(x, weight, bias, options, false);
}

Tensor conv2d_relu(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  return conv2d(x, weight, bias, options, true);
}

Conv2d::Conv2d(std::int64_t in_channels, std::int64_t out_channels, const Conv2dOptions& options) : options_(options) {
  const std::int64_t k = options.kernel_size;
  check(in_channels > 0 && out_channels > 0 && k > 0, "Conv2d: needs positive channels and kernel size, got ",
        in_channels, ", ", out_channels, ", ", k);
  check(k <= most_pixels, "Conv2d: kernel size ", k, " must be at most ", most_pixels);
  check_options("Conv2d", options);
  const std::int64_t groups = options.groups;
  check(in_channels % groups == 0 && out_channels % groups == 0, "Conv2d: ", in_channels, " and ", out_channels,
        " channels can't be cut into ", groups, " groups");
  const Shape shape{out_channels, k, k, in_channels / groups};
  weight = parameter(kaiming_normal(shape, shape.product(1, 4)));
  if (options.bias) bias = parameter(Tensor::zeros({out_channels}));
}

// A class derived from this one has a forward of its own, which counts.
Tensor Conv2d::forward_relu(const Tensor& x) {
  return typeid(*this) == typeid(Conv2d) ? conv2d_relu(x, weight, bias, options_) : Module::forward_relu(x);
}

void Conv2d::visit(Visitor& visitor) {
  visitor.parameter("weight", weight);
  visitor.parameter("bias", bias);
}

std::string Conv2d::name() const {
  const auto& [kernel_size, stride, padding, groups, has_bias] = options_;
  return text_of("Conv2d(", weight.size(3) * groups, ", ", weight.size(0), ", kernel_size=", kernel_size,
                 ", stride=", stride, ", padding=", padding, groups == 1 ? "" : text_of(", groups=", groups), ")");
}

std::int64_t Conv2d::multiply_adds(const Shape&, const Shape& output) const {
  return output.numel() * weight.numel() / weight.size(0);
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
namespace {

// Which convolutions are computed by tiles (nn/conv2d_direct.h), each group for itself: f32, but for groups of one
// channel, which give tiles nothing to do. The others are the plain loops here, over the channels of a pixel innermost.
bool by_tiles(const Conv2dShape& s, DType dtype) {
  return dtype == DType::f32 && (s.groups == 1 || s.in_channels > s.groups || s.out_channels > s.groups);
}

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

// Calls f(from[g, k], weight[k, g, i], to[g, i]) for all channels k and i of each group g, which has `from_each` and
// `to_each` of them. f is to change the second or the third.
template <class T, class Weight, class To, class F>
void for_each_product(std::int64_t groups, std::int64_t from_each, std::int64_t to_each, const T* from, Weight* weight,
                      To* to, F f) {
  if (from_each == 1 && to_each == 1) {  // depthwise: a group has too few channels to make vectors of
#pragma omp simd
    for (std::int64_t g = 0; g < groups; ++g) f(from[g], weight[g], to[g]);
    return;
  }
  for (std::int64_t g = 0; g < groups; ++g)
    for (std::int64_t k = 0; k < from_each; ++k) {
      const T value = from[g * from_each + k];
      Weight* const w = weight + (k * groups + g) * to_each;
      To* const sum = to + g * to_each;
#pragma omp simd
      for (std::int64_t i = 0; i < to_each; ++i) f(value, w[i], sum[i]);
    }
}

// Calls f(tap, pixel, position) wherever the kernel meets a pixel of the image for a row of outputs, which is counted
// over the whole batch, as are pixels and positions.
template <class F>
void for_each_tap(const Conv2dShape& s, std::int64_t row, F f) {
  const std::int64_t image = row / s.out_height, top = row % s.out_height * s.stride - s.padding;
  const std::int64_t bottom = std::min(s.kernel_height, s.height - top);
  for (std::int64_t u = std::max<std::int64_t>(-top, 0); u < bottom; ++u)
    for (std::int64_t j = 0; j < s.out_width; ++j) {
      const std::int64_t left = j * s.stride - s.padding, right = std::min(s.kernel_width, s.width - left);
      const std::int64_t pixel = (image * s.height + top + u) * s.width + left;
      for (std::int64_t v = std::max<std::int64_t>(-left, 0); v < right; ++v)
        f(u * s.kernel_width + v, pixel + v, row * s.out_width + j);
    }
}

// The weights [out, kh, kw, group_in] as [kh, kw, group_in, out], or to go from outputs to inputs as
// [kh, kw, group_out, in]: calls f(number in the first, number in the other).
template <class F>
void for_each_weight(const Conv2dShape& s, bool to_inputs, F f) {
  const std::int64_t group_in = s.in_channels / s.groups, group_out = s.group_out();
  const std::int64_t taps = s.kernel_height * s.kernel_width;
  for (std::int64_t o = 0; o < s.out_channels; ++o)
    for (std::int64_t tap = 0; tap < taps; ++tap)
      for (std::int64_t c = 0; c < group_in; ++c)
        f((o * taps + tap) * group_in + c,
          to_inputs ? (tap * group_out + o % group_out) * s.in_channels + o / group_out * group_in + c
                    : (tap * group_in + c) * s.out_channels + o);
}

template <class T>
Tensor arranged(const Conv2dShape& s, const Tensor& weight, bool to_inputs) {
  Tensor result = Tensor::empty(weight.shape(), weight.options());
  const T* from = weight.data<T>();
  T* to = result.mutable_data<T>();
  for_each_weight(s, to_inputs, [=](std::int64_t i, std::int64_t j) { to[j] = from[i]; });
  return result;
}

// Rows of outputs per range: enough work to be worth a thread.
std::int64_t output_rows_per_range(const Conv2dShape& s) {
  constexpr std::int64_t work = std::int64_t{1} << 18;  // multiply-adds
  return rows_per_range(s.out_width * s.group_patch() * s.out_channels, work);
}

template <class T>
void forward(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& y) {
  const std::int64_t in = s.in_channels, out = s.out_channels, row_size = s.out_width * out;
  const Tensor weights = arranged<T>(s, weight, false);
  const T *px = x.data<T>(), *pw = weights.data<T>(), *pb = bias.defined() ? bias.data<T>() : nullptr;
  T* py = y.mutable_data<T>();
  parallel_for(s.batch * s.out_height, output_rows_per_range(s), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      T* const first = py + row * row_size;
      for (T* to = first; to < first + row_size; to += out)
        if (pb) std::copy_n(pb, out, to);
        else std::fill_n(to, out, T{0});
      for_each_tap(s, row, [=](std::int64_t tap, std::int64_t pixel, std::int64_t position) {
        for_each_product(s.groups, in / s.groups, out / s.groups, px + pixel * in, pw + tap * (in / s.groups) * out,
                         py + position * out, [](T value, const T& w, T& sum) { sum += value * w; });
      });
      if (s.relu) std::transform(first, first + row_size, first, [](T value) { return value <= 0 ? T{0} : value; });
    }
  });
}

template <class T>
void input_gradient(const Conv2dShape& s, const Tensor& weight, const Tensor& dy, const Tensor& dx) {
  const std::int64_t in = s.in_channels, out = s.out_channels, image = s.height * s.width * in;
  const Tensor weights = arranged<T>(s, weight, true);
  const T *pdy = dy.data<T>(), *pw = weights.data<T>();
  T* pdx = dx.mutable_data<T>();
  const std::int64_t grain = num_ranges(output_rows_per_range(s), std::max<std::int64_t>(s.out_height, 1));
  parallel_for(s.batch, grain, [=](std::int64_t begin, std::int64_t end) {
    std::fill(pdx + begin * image, pdx + end * image, T{0});
    for (std::int64_t row = begin * s.out_height; row < end * s.out_height; ++row)
      for_each_tap(s, row, [=](std::int64_t tap, std::int64_t pixel, std::int64_t position) {
        for_each_product(s.groups, out / s.groups, in / s.groups, pdy + position * out,
                         pw + tap * (out / s.groups) * in, pdx + pixel * in,
                         [](T value, const T& w, T& sum) { sum += value * w; });
      });
  });
}

// Each range of rows sums its own gradient of weights, arranged, and bias: some rows in T, and those sums in f64
// (core/sums.h); then they are added in order.
template <class T>
void parameter_gradients(const Conv2dShape& s, const Tensor& x, const Tensor& dy, const Tensor& dweight,
                         const Tensor& dbias) {
  const std::int64_t in = s.in_channels, out = s.out_channels, weights = s.group_patch() * out;
  const std::int64_t rows = s.batch * s.out_height, grain = std::max(output_rows_per_range(s), num_ranges(rows, 32));
  const std::int64_t ranges = std::max<std::int64_t>(num_ranges(rows, grain), 1), each = weights + out;
  const std::int64_t rows_at_once = rows_per_range(s.out_width, 128);
  const Scratch<double> partials(ranges * each);
  const T *px = x.data<T>(), *pdy = dy.data<T>();
  double* const pp = partials.data();
  std::fill_n(pp, each, 0.0);
  parallel_ranges(rows, grain, [&](std::int64_t range, std::int64_t begin, std::int64_t end) {
    double *const totals = pp + range * each, *const bias_totals = totals + weights;
    std::fill_n(totals, each, 0.0);
    std::vector<T> sums(static_cast<std::size_t>(weights));
    for (std::int64_t row = begin; row < end; ++row) {
      if (dweight.defined())
        for_each_tap(s, row, [=, sums = sums.data()](std::int64_t tap, std::int64_t pixel, std::int64_t position) {
          for_each_product(s.groups, in / s.groups, out / s.groups, px + pixel * in, sums + tap * (in / s.groups) * out,
                           pdy + position * out, [](T value, T& sum, const T& grad) { sum += value * grad; });
        });
      add_rows(pdy + row * s.out_width * out, s.out_width, out, bias_totals);
      if ((row + 1 - begin) % rows_at_once != 0 && row + 1 < end) continue;
      for (std::int64_t i = 0; i < weights; ++i)
        totals[i] += static_cast<double>(std::exchange(sums[static_cast<std::size_t>(i)], T{0}));
    }
  });
  for (std::int64_t range = 1; range < ranges; ++range)
    for (std::int64_t i = 0; i < each; ++i) pp[i] += pp[range * each + i];
  if (dweight.defined())
    for_each_weight(s, false, [pp, to = dweight.mutable_data<T>()](std::int64_t i, std::int64_t j) {
      to[i] = static_cast<T>(pp[j]);
    });
  if (dbias.defined())
    std::transform(pp + weights, pp + each, dbias.mutable_data<T>(), [](double sum) { return static_cast<T>(sum); });
}

}  // namespace

void conv2d_forward(Cpu, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Tensor& y) {
  if (by_tiles(s, x.dtype())) {
    const Tensor xs = split_groups(s, x), ys = s.groups == 1 ? y : Tensor::empty(y.shape(), y.options());
    for (std::int64_t g = 0; g < s.groups; ++g)
      conv2d_forward_direct(one_group(s), part(s, xs, g), part(s, weight, g), part(s, bias, g), part(s, ys, g));
    return join_groups(s, ys, y);
  }
  with_floating("conv2d", x.dtype(), [&]<class T>(T) { forward<T>(s, x, weight, bias, y); });
}

void conv2d_backward(Cpu device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& y,
                     const Tensor& grad, const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  if (by_tiles(s, grad.dtype())) {
    const Tensor xs = split_groups(s, x), ys = split_groups(s, y), dys = split_groups(s, grad);
    const Tensor dxs = s.groups == 1 || !dx.defined() ? dx : Tensor::empty(dx.shape(), dx.options());
    for (std::int64_t g = 0; g < s.groups; ++g) {
      const Tensor dw = part(s, dweight, g), db = part(s, dbias, g), out = part(s, ys, g), dout = part(s, dys, g);
      if (dx.defined()) conv2d_input_gradient_direct(one_group(s), part(s, weight, g), out, dout, part(s, dxs, g));
      if (dw.defined() || db.defined()) conv2d_weight_gradient_direct(one_group(s), part(s, xs, g), out, dout, dw, db);
    }
    if (dx.defined()) join_groups(s, dxs, dx);
    return;
  }
  Tensor dy = grad;
  if (s.relu) unary_backward(device, functions::Relu{}, y, grad, dy = Tensor::empty(grad.shape(), grad.options()));
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    if (dx.defined()) input_gradient<T>(s, weight, dy, dx);
    if (dweight.defined() || dbias.defined()) parameter_gradients<T>(s, x, dy, dweight, dbias);
  });
}

}  // namespace mixgrad::kernels
