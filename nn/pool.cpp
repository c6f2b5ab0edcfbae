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

// Calls f(window, rows, columns) for each output position of image n: the offset of its first channel, and the first
// pixel and the end of those of its window that are inside the image.
template <class F>
void for_each_window(const Pool2dShape& s, std::int64_t n, F&& f) {
  struct Inside {
    std::int64_t begin, end;
    Inside(std::int64_t first, std::int64_t kernel, std::int64_t size)
        : begin(std::max<std::int64_t>(first, 0)), end(std::min(first + kernel, size)) {}
  };
  for (std::int64_t i = 0; i < s.out_height; ++i)
    for (std::int64_t j = 0; j < s.out_width; ++j)
      f(((n * s.out_height + i) * s.out_width + j) * s.channels,
        Inside(i * s.stride - s.padding, s.kernel_height, s.height),
        Inside(j * s.stride - s.padding, s.kernel_width, s.width));
}

// Calls f(window, pixel) for each output position of image n and each pixel of its window that is inside the image, in
// order; both are offsets of the first channel.
template <class F>
void for_each_pixel(const Pool2dShape& s, std::int64_t n, F&& f) {
  for_each_window(s, n, [&](std::int64_t window, auto rows, auto columns) {
    for (std::int64_t y = rows.begin; y < rows.end; ++y)
      for (std::int64_t x = columns.begin; x < columns.end; ++x)
        f(window, ((n * s.height + y) * s.width + x) * s.channels);
  });
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

// The maximum of each channel over `count` pixels of x, and those before unless a window begins here, and its pixel.
// The former stay in registers.
template <int count, class T>
void maximum_of(const T* x, const std::int32_t* pixels, std::int64_t channels, bool begins, T* best,
                std::int32_t* place) {
  const T* values[count];
  std::int32_t here[count];
  for (int k = 0; k < count; ++k) here[k] = pixels[k], values[k] = x + here[k] * channels;
#pragma omp simd
  for (std::int64_t c = 0; c < channels; ++c) {
    T largest = begins ? values[0][c] : best[c];
    std::int32_t at = begins ? here[0] : place[c];
    for (int k = 0; k < count; ++k) {
      const bool taken = is_maximum(values[k][c], largest, false);
      largest = taken ? values[k][c] : largest;
      at = taken ? here[k] : at;
    }
    best[c] = largest;
    place[c] = at;
  }
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
      std::vector<std::int32_t> pixels;
      for_each_window(s, n, [&](std::int64_t window, auto rows, auto columns) {
        pixels.clear();
        for (std::int64_t y = rows.begin; y < rows.end; ++y)
          for (std::int64_t x = columns.begin; x < columns.end; ++x)
            pixels.push_back(static_cast<std::int32_t>(y * s.width + x));
        const auto add = [&]<int count>(std::size_t i) {
          maximum_of<count>(px + n * image * s.channels, pixels.data() + i, s.channels, i == 0, py + window,
                            pp + window);
        };
        std::size_t i = 0;
        for (; i + 4 <= pixels.size(); i += 4) add.template operator()<4>(i);
        for (; i < pixels.size(); ++i) add.template operator()<1>(i);
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
