#include "nn/conv2d.h"

#include <utility>

#include "core/autograd.h"
#include "nn/init.h"

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
  const Windows windows =
      windows_in("conv2d", x, weight.size(1), weight.size(2), stride, padding, "kernel of weight ", weight.shape());
  return {windows, x.size(3), weight.size(0), groups, relu};
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options, bool relu,
              const Pool2d* pool = nullptr) {
  kernels::Conv2dShape shape = check_shapes(x, weight, bias, options, relu);
  if (pool) shape.out_height = pool->seen(shape.out_height), shape.out_width = pool->seen(shape.out_width);
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
           to.add(0, std::move(dx));
           to.add(1, std::move(dweight));
           to.add(2, std::move(dbias));
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

Tensor conv2d_before(const Pool2d& pool, bool relu, const Tensor& x, const Tensor& weight, const Tensor& bias,
                     const Conv2dOptions& options) {
  return conv2d(x, weight, bias, options, relu, &pool);
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

std::string Conv2d::name() const {
  const auto& [kernel_size, stride, padding, groups, has_bias] = options_;
  return text_of("Conv2d(", weight.size(3) * groups, ", ", weight.size(0), ", kernel_size=", kernel_size,
                 ", stride=", stride, ", padding=", padding, groups == 1 ? "" : text_of(", groups=", groups), ")");
}

}  // namespace mixgrad::nn
