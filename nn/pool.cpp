#include "nn/pool.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/reduce.h"
#include "core/sums.h"

namespace mixgrad::nn {
namespace {

// The options with the stride that they mean.
Pool2dOptions checked(const char* op, std::int64_t kernel_size, Pool2dOptions options) {
  auto& [stride, padding] = options;
  if (stride == 0) stride = kernel_size;
  check(kernel_size >= 1 && stride >= 1 && padding >= 0 && padding <= kernel_size / 2, op, ": kernel size ",
        kernel_size, ", stride ", stride, ", padding ", padding);
  check(kernel_size <= most_pixels && stride <= most_pixels, op, ": kernel size ", kernel_size, ", stride ", stride,
        " must be at most ", most_pixels);
  return options;
}

kernels::Pool2dShape check_shapes(const char* op, const Tensor& x, std::int64_t kernel_size,
                                  const Pool2dOptions& options) {
  check(x.rank() == 4, op, ": input ", x.shape(), " must be [N, H, W, C]");
  const auto [stride, padding] = checked(op, kernel_size, options);
  check(x.size(3) > 0, op, ": input ", x.shape(), " has no channels");
  check(x.shape().product(1, 3) <= std::numeric_limits<std::int32_t>::max(), op, ": an image of input ", x.shape(),
        " has more than 2^31 - 1 pixels");
  return {windows_in(op, x, kernel_size, kernel_size, stride, padding, "kernel size ", kernel_size), x.size(3)};
}

// The maximum of each window, or its mean.
Tensor pool2d(bool maximum, const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options) {
  const char* const op = maximum ? "max_pool2d" : "avg_pool2d";
  const kernels::Pool2dShape shape = check_shapes(op, x, kernel_size, options);
  Tensor y = Tensor::empty({shape.batch, shape.out_height, shape.out_width, shape.channels}, x.options());
  const Tensor place = maximum ? Tensor::empty(y.shape(), {.dtype = DType::i32, .device = x.device()}) : Tensor();
  dispatch(maximum ? "max_pool2d_forward" : "avg_pool2d_forward", x.device(),
           [&](auto device) { kernels::pool2d_forward(device, shape, x, y, place); });
  record(y, op, {x}, [shape, place](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty({shape.batch, shape.height, shape.width, shape.channels}, grad.options());
    dispatch(place.defined() ? "max_pool2d_backward" : "avg_pool2d_backward", grad.device(),
             [&](auto device) { kernels::pool2d_backward(device, shape, place, grad, dx); });
    to.add(0, std::move(dx));
  });
  return y;
}

}  // namespace

Tensor max_pool2d(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options) {
  return pool2d(true, x, kernel_size, options);
}

Tensor avg_pool2d(const Tensor& x, std::int64_t kernel_size, const Pool2dOptions& options) {
  return pool2d(false, x, kernel_size, options);
}

Pool2d::Pool2d(const char* name, Op op, std::int64_t kernel_size, const Pool2dOptions& options)
    : Function(text_of(name, "(", kernel_size, ")"), [=](const Tensor& x) { return op(x, kernel_size, options); }),
      kernel_size_(kernel_size),
      options_(checked(name, kernel_size, options)) {}

Tensor global_avg_pool(const Tensor& x) {
  check(x.rank() == 4, "GlobalAvgPool: input ", x.shape(), " must be [N, H, W, C]");
  return mean(x, {1, 2}, {.keepdim = true});
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
namespace {

// Calls f(window, pixel) for each output position of image n and each pixel of its window that is inside the image, in
// order; both are offsets of the first channel.
template <class F>
void for_each_pixel(const Pool2dShape& s, std::int64_t n, F&& f) {
  for (std::int64_t i = 0; i < s.out_height; ++i)
    for (std::int64_t j = 0; j < s.out_width; ++j) {
      const std::int64_t window = ((n * s.out_height + i) * s.out_width + j) * s.channels;
      const std::int64_t top = i * s.stride - s.padding, left = j * s.stride - s.padding;
      for (std::int64_t y = std::max<std::int64_t>(top, 0); y < std::min(top + s.kernel_height, s.height); ++y)
        for (std::int64_t x = std::max<std::int64_t>(left, 0); x < std::min(left + s.kernel_width, s.width); ++x)
          f(window, ((n * s.height + y) * s.width + x) * s.channels);
    }
}

template <class F>
void for_each_image(const Pool2dShape& s, F&& f) {
  constexpr std::int64_t grain = std::int64_t{1} << 15;  // elements read per range
  parallel_for(s.batch, rows_per_range(s.height * s.width * s.channels, grain),
               [&](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t n = begin; n < end; ++n) f(n);
               });
}

// `to` = factor * what add(n, sums) adds to the sums of image n. A large window is summed in f64 (core/sums.h).
template <class T, class F>
void sum_of_windows(const Pool2dShape& s, const Tensor& to, T factor, F add) {
  T* const first = to.mutable_data<T>();
  const std::int64_t size = to.shape().product(1, 4);
  for_each_image(s, [=](std::int64_t n) {
    T* const out = first + n * size;
    const auto write = [=](auto* sums) {
      std::fill_n(sums, size, 0);
      add(n, sums);
      std::transform(sums, sums + size, out, [=](auto sum) { return static_cast<T>(sum) * factor; });
    };
    if (s.kernel_height * s.kernel_width <= 2 * sum_block) write(out);
    else write(std::vector<double>(static_cast<std::size_t>(size)).data());
  });
}

}  // namespace

void pool2d_forward(Cpu, const Pool2dShape& s, const Tensor& x, Out y, Out place) {
  with_floating(place.defined() ? "max_pool2d" : "avg_pool2d", x.dtype(), [&]<class T>(T) {
    const T* px = x.data<T>();
    const std::int64_t image = s.height * s.width, out_image = s.out_height * s.out_width * s.channels;
    if (!place.defined())
      return sum_of_windows(s, y, share_of<T>(s), [=](std::int64_t n, auto* sums) {
        for_each_pixel(s, n, [=](std::int64_t window, std::int64_t pixel) {
          for (std::int64_t c = 0; c < s.channels; ++c) sums[window - n * out_image + c] += px[pixel + c];
        });
      });
    T* py = y.mutable_data<T>();
    std::int32_t* pp = place.mutable_data<std::int32_t>();
    for_each_image(s, [=](std::int64_t n) {
      std::fill_n(py + n * out_image, out_image, -std::numeric_limits<T>::infinity());
      std::fill_n(pp + n * out_image, out_image, -1);
      for_each_pixel(s, n, [=](std::int64_t window, std::int64_t pixel) {
        const auto here = static_cast<std::int32_t>(pixel / s.channels - n * image);
        const T* x = px + pixel;
        T* best = py + window;
        std::int32_t* place = pp + window;
#pragma omp simd
        for (std::int64_t c = 0; c < s.channels; ++c) {
          const bool taken = is_maximum(x[c], best[c], place[c] < 0);
          best[c] = taken ? x[c] : best[c];
          place[c] = taken ? here : place[c];
        }
      });
    });
  });
}

void pool2d_backward(Cpu, const Pool2dShape& s, const Tensor& place, const Tensor& dy, Out dx) {
  with_floating(place.defined() ? "max_pool2d" : "avg_pool2d", dx.dtype(), [&]<class T>(T) {
    const T* pdy = dy.data<T>();
    const std::int64_t image = s.height * s.width * s.channels, out_image = s.out_height * s.out_width * s.channels;
    if (!place.defined())
      return sum_of_windows(s, dx, share_of<T>(s), [=](std::int64_t n, auto* sums) {
        for_each_pixel(s, n, [=](std::int64_t window, std::int64_t pixel) {
          for (std::int64_t c = 0; c < s.channels; ++c) sums[pixel - n * image + c] += pdy[window + c];
        });
      });
    const std::int32_t* pp = place.data<std::int32_t>();
    sum_of_windows(s, dx, T{1}, [=](std::int64_t n, auto* sums) {
      for (std::int64_t i = n * out_image; i < (n + 1) * out_image; i += s.channels)
        for (std::int64_t c = 0; c < s.channels; ++c) sums[pp[i + c] * s.channels + c] += pdy[i + c];
    });
  });
}

}  // namespace mixgrad::kernels
