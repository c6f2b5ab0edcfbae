#include "nn/conv2d.h"

#include <algorithm>
#include <cstring>
#include <typeinfo>

#include "core/autograd.h"
#include "core/gemm.h"
#include "core/parallel.h"
#include "core/unary.h"
#include "nn/conv2d_direct.h"
#include "nn/init.h"

namespace mixgrad::nn {
namespace {

kernels::Conv2dShape check_shapes(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Conv2dOptions& options, bool relu) {
  check(x.rank() == 4 && weight.rank() == 4, "conv2d: input ", x.shape(), " must be [N, H, W, in], weight ",
        weight.shape(), " [out, kh, kw, in]");
  const auto [kernel_size, stride, padding, groups, has_bias] = options;
  check(groups >= 1 && x.size(3) == weight.size(3) * groups && weight.size(0) % groups == 0, "conv2d: input ",
        x.shape(), " has ", x.size(3), " channels, weight ", weight.shape(), groups == 1 ? "" : " in groups",
        " expects ", weight.size(3) * groups);
  check(x.dtype() == weight.dtype(), "conv2d: input is ", name_of(x.dtype()), ", weight ", name_of(weight.dtype()));
  check_same_device("conv2d", x.device(), weight.device());
  if (bias.defined())
    check(bias.shape() == Shape{weight.size(0)} && bias.dtype() == x.dtype(), "conv2d: bias is ", name_of(bias.dtype()),
          bias.shape(), ", weight ", name_of(weight.dtype()), weight.shape(), " needs [", weight.size(0), "]");
  check(stride >= 1 && padding >= 0, "conv2d: stride ", stride, " must be at least 1, padding ", padding,
        " at least 0");
  const std::int64_t free_height = x.size(1) + 2 * padding - weight.size(1);
  const std::int64_t free_width = x.size(2) + 2 * padding - weight.size(2);
  check(free_height >= 0 && free_width >= 0, "conv2d: kernel of weight ", weight.shape(), " exceeds input ", x.shape(),
        " padded by ", padding);
  return {.batch = x.size(0),
          .height = x.size(1),
          .width = x.size(2),
          .in_channels = x.size(3),
          .kernel_height = weight.size(1),
          .kernel_width = weight.size(2),
          .out_channels = weight.size(0),
          .out_height = free_height / stride + 1,
          .out_width = free_width / stride + 1,
          .stride = stride,
          .padding = padding,
          .groups = groups,
          .relu = relu};
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options, bool relu) {
  const kernels::Conv2dShape shape = check_shapes(x, weight, bias, options, relu);
  Tensor y = Tensor::empty({shape.batch, shape.out_height, shape.out_width, shape.out_channels}, x.options());
  // A multiplication and an addition for each output and each weight that it sees.
  const double flops = 2.0 * static_cast<double>(y.numel() * shape.group_patch());
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
  check(options.stride >= 1 && options.padding >= 0, "Conv2d: stride ", options.stride, " must be at least 1, padding ",
        options.padding, " at least 0");
  const std::int64_t groups = options.groups;
  check(groups >= 1 && in_channels % groups == 0 && out_channels % groups == 0, "Conv2d: ", in_channels, " and ",
        out_channels, " channels can't be cut into ", groups, " groups");
  weight = parameter(kaiming_normal({out_channels, k, k, in_channels / groups}, k * k * in_channels / groups));
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

// Patches are made of rows of the kernel: kernel_width pixels that lie side by side in the image as well, but for
// those in the padding. Calls f(row, first, count, pixel) for each such row of each patch: numbers first ..
// first + count - 1 of the row, which starts at patches[row], stand in the image from image[pixel] on.
template <class F>
void for_each_patch_row(const Conv2dShape& s, F&& f) {
  const std::int64_t row_size = s.kernel_width * s.in_channels;
  std::int64_t row = 0;
  for (std::int64_t i = 0; i < s.out_height; ++i)
    for (std::int64_t j = 0; j < s.out_width; ++j) {
      const std::int64_t left = j * s.stride - s.padding;
      const std::int64_t begin = std::clamp<std::int64_t>(-left, 0, s.kernel_width);
      const std::int64_t end = std::clamp<std::int64_t>(s.width - left, begin, s.kernel_width);
      for (std::int64_t u = 0; u < s.kernel_height; ++u, row += row_size) {
        const std::int64_t y = i * s.stride + u - s.padding;
        const bool inside = y >= 0 && y < s.height;
        f(row, begin * s.in_channels, inside ? (end - begin) * s.in_channels : 0,
          (y * s.width + left + begin) * s.in_channels);
      }
    }
}

// Calls f(patch, image) for each number of such a row, where they stand with more than one group: a patch lists one
// group after the other, [groups, kernel_height, kernel_width, in_channels / groups], so that each is a matrix.
template <class F>
void for_each_group(const Conv2dShape& s, std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel,
                    F&& f) {
  const std::int64_t channels = s.in_channels / s.groups, patch = row / s.patch() * s.patch();
  const std::int64_t tap = (row - patch + first) / s.in_channels;  // u * kernel_width + v of the first pixel
  for (std::int64_t v = 0; v < count / s.in_channels; ++v)
    for (std::int64_t g = 0; g < s.groups; ++g)
      for (std::int64_t c = 0; c < channels; ++c)
        f(patch + g * s.group_patch() + (tap + v) * channels + c, pixel + v * s.in_channels + g * channels + c);
}

// patches [positions, patch] of one image
template <class T>
void im2col(const Conv2dShape& s, const T* image, T* patches) {
  const std::int64_t row_size = s.kernel_width * s.in_channels;
  if (s.groups > 1) {
    std::fill_n(patches, s.positions() * s.patch(), T{0});
    for_each_patch_row(s, [&](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
      for_each_group(s, row, first, count, pixel, [=](std::int64_t i, std::int64_t j) { patches[i] = image[j]; });
    });
    return;
  }
  for_each_patch_row(s, [=](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
    if (count < row_size) std::fill_n(patches + row, row_size, T{0});
    if (count > 0) std::copy_n(image + pixel, count, patches + row + first);
  });
}

// image = the sum of the patches at their places: the transpose of im2col
template <class T>
void col2im(const Conv2dShape& s, const T* patches, T* image) {
  std::fill_n(image, s.height * s.width * s.in_channels, T{0});
  for_each_patch_row(s, [&](std::int64_t row, std::int64_t first, std::int64_t count, std::int64_t pixel) {
    if (s.groups > 1)
      for_each_group(s, row, first, count, pixel, [=](std::int64_t i, std::int64_t j) { image[j] += patches[i]; });
    else
      for (std::int64_t c = 0; c < count; ++c) image[pixel + c] += patches[row + first + c];
  });
}

// Which convolutions are computed directly (nn/conv2d_direct.h), and which as Eigen's products of their patches.
bool is_direct(const Conv2dShape& s, DType dtype) { return dtype == DType::f32 && s.groups == 1; }

// Images per range: enough work to be worth a thread, few enough ranges that their gradients fit in memory.
std::int64_t images_per_range(const Conv2dShape& s) {
  constexpr std::int64_t work = std::int64_t{1} << 20;  // multiply-adds
  return std::max(rows_per_range(s.positions() * s.group_patch() * s.out_channels, work), num_ranges(s.batch, 32));
}

}  // namespace

void conv2d_forward(Cpu, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Tensor& y) {
  if (is_direct(s, x.dtype())) return conv2d_forward_direct(s, x, weight, bias, y);
  with_floating("conv2d", x.dtype(), [&]<class T>(T) {
    const std::int64_t in_image = s.height * s.width * s.in_channels, out_image = s.positions() * s.out_channels;
    const Tensor scratch = Tensor::empty({num_threads(), s.patches()}, x.options());
    const T* px = x.data<T>();
    const T* pw = weight.data<T>();
    const T* pb = bias.defined() ? bias.data<T>() : nullptr;
    T* ps = scratch.mutable_data<T>();
    T* py = y.mutable_data<T>();
    parallel_for(s.batch, images_per_range(s), [&](std::int64_t begin, std::int64_t end) {
      T* patches = ps + thread_index() * s.patches();
      for (std::int64_t n = begin; n < end; ++n) {
        im2col(s, px + n * in_image, patches);
        T* out = py + n * out_image;
        if (pb)
          for (std::int64_t position = 0; position < s.positions(); ++position)
            std::copy_n(pb, s.out_channels, out + position * s.out_channels);
        for (std::int64_t g = 0; g < s.groups; ++g)
          gemm(false, true, s.positions(), s.group_out(), s.group_patch(), patches + g * s.group_patch(), s.patch(),
               pw + g * s.group_out() * s.group_patch(), s.group_patch(), out + g * s.group_out(), s.out_channels,
               pb ? Accumulate::add : Accumulate::overwrite);
        if (s.relu) std::transform(out, out + out_image, out, [](T value) { return value <= 0 ? T{0} : value; });
      }
    });
  });
}

void conv2d_backward(Cpu device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& y,
                     const Tensor& grad, const Tensor& dx, const Tensor& dweight, const Tensor& dbias) {
  if (is_direct(s, grad.dtype())) {
    if (dx.defined()) conv2d_input_gradient_direct(s, weight, y, grad, dx);
    if (dweight.defined() || dbias.defined()) conv2d_weight_gradient_direct(s, x, y, grad, dweight, dbias);
    return;
  }
  Tensor dy = grad;
  if (s.relu) unary_backward(device, {Unary::relu}, y, grad, dy = Tensor::empty(grad.shape(), grad.options()));
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    const std::int64_t in_image = s.height * s.width * s.in_channels, out_image = s.positions() * s.out_channels;
    const std::int64_t grain = images_per_range(s), ranges = num_ranges(s.batch, grain);
    // Each range of images sums its own weight and bias gradient, [out, patch] and [out]; then they are added in order.
    const std::int64_t partial_size = s.out_channels * (s.group_patch() + 1);
    const bool parameters = dweight.defined() || dbias.defined();
    const Tensor scratch = Tensor::empty({num_threads(), s.patches()}, dy.options());
    const Tensor partials = Tensor::zeros({parameters ? ranges : 0, partial_size}, dy.options());
    const T* px = x.data<T>();
    const T* pw = weight.data<T>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.defined() ? dx.mutable_data<T>() : nullptr;
    T* ps = scratch.mutable_data<T>();
    T* pp = partials.mutable_data<T>();
    parallel_ranges(s.batch, grain, [&](std::int64_t range, std::int64_t begin, std::int64_t end) {
      T* patches = ps + thread_index() * s.patches();
      T* range_dweight = pp + range * partial_size;
      T* range_dbias = range_dweight + s.out_channels * s.group_patch();
      for (std::int64_t n = begin; n < end; ++n) {
        const T* out = pdy + n * out_image;
        if (dweight.defined()) {
          im2col(s, px + n * in_image, patches);
          for (std::int64_t g = 0; g < s.groups; ++g)
            gemm(true, false, s.group_out(), s.group_patch(), s.positions(), out + g * s.group_out(), s.out_channels,
                 patches + g * s.group_patch(), s.patch(), range_dweight + g * s.group_out() * s.group_patch(),
                 s.group_patch(), Accumulate::add);
        }
        if (dbias.defined())
          for (std::int64_t position = 0; position < s.positions(); ++position)
            for (std::int64_t o = 0; o < s.out_channels; ++o) range_dbias[o] += out[position * s.out_channels + o];
        if (pdx) {
          for (std::int64_t g = 0; g < s.groups; ++g)
            gemm(false, false, s.positions(), s.group_patch(), s.group_out(), out + g * s.group_out(), s.out_channels,
                 pw + g * s.group_out() * s.group_patch(), s.group_patch(), patches + g * s.group_patch(), s.patch());
          col2im(s, patches, pdx + n * in_image);
        }
      }
    });
    const auto sum_partials = [&](const Tensor& gradient, std::int64_t offset) {
      T* to = gradient.mutable_data<T>();
      std::fill_n(to, gradient.numel(), T{0});
      for (std::int64_t range = 0; range < ranges; ++range)
        for (std::int64_t i = 0; i < gradient.numel(); ++i) to[i] += pp[range * partial_size + offset + i];
    };
    if (dweight.defined()) sum_partials(dweight, 0);
    if (dbias.defined()) sum_partials(dbias, s.out_channels * s.group_patch());
  });
}

}  // namespace mixgrad::kernels
