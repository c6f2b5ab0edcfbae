// Convolution as a product of matrices ("im2col"), in f64 and for gradients that are one already: the pixels under the
// kernel, copied side by side into a row for each position, meet the weights.
//
//   P, row (n, i, j):   x(n, i, j, all c)   x(n, i, j + 1, all c)   ...   x(n, i + kh - 1, j + kw - 1, all c)
//
//   y = P w^T + b,        dw = dy^T P,        dP = dy w, whose elements are added to the pixels that they are copies of
//
// A 1x1 convolution of stride 1 has P = x.
#include "core/elementwise.h"
#include "core/matmul.h"
#include "core/parallel.h"
#include "core/reduce.h"
#include "nn/conv2d_cpu/paths.h"

namespace mixgrad::kernels::conv2d_products {
namespace {

// Calls f(pixel, copy) for each element of P that is a copy of one of x, f64 both.
template <class T, class Copy, class F>
void for_each_copy(const Conv2dShape& s, T* x, Copy* copies, F f) {
  const std::int64_t grain = rows_per_range(s.positions() * s.patch(), std::int64_t{1} << 15);
  parallel_for(s.batch, grain, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin * s.positions(); row < end * s.positions(); ++row) {
      const std::int64_t position = row % s.positions(), image = row / s.positions();
      const std::int64_t top = position / s.out_width * s.stride - s.padding;
      const std::int64_t left = position % s.out_width * s.stride - s.padding;
      for (std::int64_t tap = 0; tap < s.kernel_height * s.kernel_width; ++tap) {
        const std::int64_t i = top + tap / s.kernel_width, j = left + tap % s.kernel_width;
        if (i < 0 || i >= s.height || j < 0 || j >= s.width) continue;
        T* const pixel = x + ((image * s.height + i) * s.width + j) * s.in_channels;
        Copy* const copy = copies + row * s.patch() + tap * s.in_channels;
        for (std::int64_t c = 0; c < s.in_channels; ++c) f(pixel[c], copy[c]);
      }
    }
  });
}

Shape shape_of_patches(const Conv2dShape& s) { return {s.batch * s.positions(), s.patch()}; }

Tensor patches_of(const Conv2dShape& s, const Tensor& x) {
  if (is_product(s)) return x.raw_view(shape_of_patches(s), 0);
  const Tensor patches = Tensor::zeros(shape_of_patches(s), x.options());
  for_each_copy(s, x.data<double>(), patches.mutable_data<double>(), [](double pixel, double& copy) { copy = pixel; });
  return patches;
}

// Calls f(shape, images, first) for parts of the batch whose patches take at most 128 MiB, or one image: images(x) are
// those of x in the part, which begins with image `first`.
template <class F>
void for_each_part_of_batch(const Conv2dShape& s, F f) {
  const std::int64_t most = rows_per_range(s.positions() * s.patch(), std::int64_t{1} << 24);
  for_each_part(s.batch, is_product(s) ? std::max<std::int64_t>(s.batch, 1) : most,
                [&](std::int64_t first, std::int64_t count) {
                  Conv2dShape some = s;
                  some.batch = count;
                  f(
                      some,
                      [=](const Tensor& x) {
                        const std::int64_t each = x.numel() / s.batch;
                        return x.raw_view({count * each}, first * each);
                      },
                      first);
                });
}

}  // namespace

void forward(const Conv2dShape& all, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  const Tensor weights = weight.raw_view({all.out_channels, all.patch()}, 0);
  for_each_part_of_batch(all, [&](const Conv2dShape& s, const auto& images, std::int64_t) {
    const Tensor rows = images(y).raw_view({s.batch * s.positions(), s.out_channels}, 0);
    matmul(Cpu{}, patches_of(s, images(x)), weights, {.transpose_b = true}, rows);
    if (bias.defined()) binary(Cpu{}, std::plus<>{}, rows, bias, rows);
    if (s.relu) unary(Cpu{}, functions::Relu{}, rows, rows);
  });
}

void backward(const Conv2dShape& all, const Tensor& x, const Tensor& weight, const Tensor& dy, Out dx, Out dweight,
              Out dbias) {
  const std::int64_t out = all.out_channels;
  const Shape matrix{out, all.patch()};
  if (dbias.defined())
    sum(Cpu{}, dy.raw_view({1, all.batch * all.positions(), out}, 0), 1, dbias.raw_view({1, out}, 0));
  if (dweight.defined() && all.batch == 0) dweight.fill_(0);
  if (dx.defined() && !is_product(all)) dx.fill_(0);
  for_each_part_of_batch(all, [&](const Conv2dShape& s, const auto& images, std::int64_t first) {
    const Tensor gradients = images(dy).raw_view({s.batch * s.positions(), out}, 0);
    if (dweight.defined()) {
      const Tensor sums = dweight.raw_view(matrix, 0), part = first == 0 ? sums : Tensor::empty(matrix, dy.options());
      matmul(Cpu{}, gradients, patches_of(s, images(x)), {.transpose_a = true}, part);
      if (first > 0) binary(Cpu{}, std::plus<>{}, sums, part, sums);
    }
    if (!dx.defined()) return;
    const Tensor pixels = images(dx);
    const Tensor copies =
        is_product(s) ? pixels.raw_view(shape_of_patches(s), 0) : Tensor::empty(shape_of_patches(s), dy.options());
    matmul(Cpu{}, gradients, weight.raw_view(matrix, 0), {}, copies);
    if (!is_product(s))
      for_each_copy(s, pixels.mutable_data<double>(), copies.data<double>(),
                    [](double& pixel, double copy) { pixel += copy; });
  });
}

}  // namespace mixgrad::kernels::conv2d_products
