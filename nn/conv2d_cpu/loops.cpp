// Convolution by plain loops, for any dtype and groups: a pixel under the kernel and the weights of that tap, arranged
// with the channels that they go to innermost, are added to an output as one vector.
//
//   x, pixel (i*stride + u - padding, j*stride + v - padding)     c c c
//                                                                 | | |    each c times w[u, v, c, all o]
//   y, position (i, j)                                        o o o o o o
//
// The input gradient is the same the other way round: each channel of dy times w[u, v, o, all c] goes to a pixel.
#include <algorithm>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/elementwise.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "core/sums.h"
#include "nn/conv2d_cpu/paths.h"

namespace mixgrad::kernels::conv2d_loops {
namespace {

// Calls f(from[g, k], weight[k, g, i], to[g, i]) for all channels k and i of each group g, which has `from_each` and
// `to_each` of them. f is to change the second or the third.
template <class T, class Weight, class To, class F>
void for_each_product(std::int64_t groups, std::int64_t from_each, std::int64_t to_each, const T* from, Weight* weight,
                      To* to, F f) {
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

// Weights [a, b, c, d] as [c, b, a, d].
Tensor arranged(const Tensor& weight, std::int64_t a, std::int64_t b, std::int64_t c, std::int64_t d) {
  Tensor result = Tensor::empty(weight.shape(), weight.options());
  transpose(Cpu{}, weight.raw_view({1, a, b, c, d}, 0), result.raw_view({1, c, b, a, d}, 0));
  return result;
}

// Rows of outputs per range: enough work to be worth a thread.
std::int64_t output_rows_per_range(const Conv2dShape& s) {
  constexpr std::int64_t work = std::int64_t{1} << 18;  // multiply-adds
  return rows_per_range(s.out_width * s.group_patch() * s.out_channels, work);
}

}  // namespace

void forward(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  with_floating("conv2d", x.dtype(), [&]<class T>(T) {
    const std::int64_t in = s.in_channels, out = s.out_channels, row_size = s.out_width * out;
    const Tensor weights = arranged(weight, out, 1, s.group_patch(), 1);
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
        if (s.relu) std::transform(first, first + row_size, first, functions::Relu{});
      }
    });
  });
}

void input_gradient(const Conv2dShape& s, const Tensor& weight, const Tensor& dy, Out dx) {
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    const std::int64_t in = s.in_channels, out = s.out_channels, image = s.height * s.width * in;
    const Tensor weights = arranged(weight, s.groups, s.group_out(), s.kernel_height * s.kernel_width, in / s.groups);
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
  });
}

// Each range of rows sums its own gradient of weights, arranged, and bias: some rows in T, and those sums in f64
// (core/sums.h); then they are added in order.
void parameter_gradients(const Conv2dShape& s, const Tensor& x, const Tensor& dy, Out dweight, Out dbias) {
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
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
            for_each_product(s.groups, in / s.groups, out / s.groups, px + pixel * in,
                             sums + tap * (in / s.groups) * out, pdy + position * out,
                             [](T value, T& sum, const T& grad) { sum += value * grad; });
          });
        add_rows(pdy + row * s.out_width * out, s.out_width, out, bias_totals);
        if ((row + 1 - begin) % rows_at_once != 0 && row + 1 < end) continue;
        for (std::int64_t i = 0; i < weights; ++i)
          totals[i] += static_cast<double>(std::exchange(sums[static_cast<std::size_t>(i)], T{0}));
      }
    });
    for (std::int64_t range = 1; range < ranges; ++range)
      for (std::int64_t i = 0; i < each; ++i) pp[i] += pp[range * each + i];
    T* const pdw = dweight.defined() ? dweight.mutable_data<T>() : nullptr;
    if (pdw)
      for (std::int64_t i = 0; i < weights; ++i)
        pdw[i] = static_cast<T>(pp[i % s.group_patch() * out + i / s.group_patch()]);
    if (dbias.defined())
      std::transform(pp + weights, pp + each, dbias.mutable_data<T>(), [](double sum) { return static_cast<T>(sum); });
  });
}

}  // namespace mixgrad::kernels::conv2d_loops
