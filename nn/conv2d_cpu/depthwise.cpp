// Depthwise convolutions: each channel by itself, so that vectors of channels are what is computed at once. An output
// is a sum over the taps that meet the image, and so is the gradient of a pixel; which taps these are is the same for a
// whole row, and for a whole column:
//
//   row i      pairs (u, source row)         y[i, j] = sum over both lists of source[row, column] * w[u, v]
//   column j   pairs (v, source column)
//
//   forward          source row of u = i * stride + u - padding            of the image
//   input gradient   source row of u = (i + padding - u) / stride          of dy, where that is whole
//
// The gradient of the weight is a sum over positions: each range of rows sums its own, and ranges are added in order.
#include <algorithm>
#include <array>
#include <vector>

#include "core/allocator.h"
#include "core/layout.h"
#include "core/parallel.h"
#include "core/rows.h"
#include "nn/conv2d_cpu/paths.h"

namespace mixgrad::kernels::conv2d_depthwise {
namespace {

// A tap and the place in the source that it meets.
struct Meeting {
  std::int64_t tap, place;
};
using Meetings = std::vector<std::vector<Meeting>>;  // of each row, or of each column

// place(i, tap) is anything below 0 or above size - 1 where they do not meet.
template <class F>
Meetings meetings(std::int64_t count, std::int64_t taps, std::int64_t size, F place) {
  Meetings all(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i)
    for (std::int64_t tap = 0; tap < taps; ++tap)
      if (const std::int64_t at = place(i, tap); at >= 0 && at < size)
        all[static_cast<std::size_t>(i)].push_back({tap, at});
  return all;
}

// Weights [channels, taps] as [taps, channels].
Tensor by_taps(const Tensor& weight) {
  const std::int64_t channels = weight.size(0), taps = weight.numel() / channels;
  Tensor result = Tensor::empty({taps, channels}, weight.options());
  transpose(Cpu{}, weight.raw_view({1, channels, 1, taps, 1}, 0), result.raw_view({1, taps, 1, channels, 1}, 0));
  return result;
}

std::int64_t rows_at_once(std::int64_t row) { return rows_per_range(row, std::int64_t{1} << 14); }

// What is summed for the outputs of a row, and where it lies.
template <class T>
struct Sums {
  const std::vector<Meeting>& row;
  const T *source, *weight, *bias;  // [height, width, channels], [taps, channels], [channels] or null
  std::int64_t width, kernel_width, channels;
  bool relu;
};

// `vectors` of the channels of one output, from channel c on; the last one may have only `left` channels.
template <std::int64_t vectors, class T>
void sum_channels(const Sums<T>& s, const std::vector<Meeting>& column, std::int64_t c, auto left, T* out) {
  Lanes<T> sums[vectors] = {};
  const auto each = [&](auto f) {
#pragma GCC unroll 4
    for (std::int64_t k = 0; k < vectors; ++k) f(sums[k], k * lanes_of<T>);
  };
  for (const auto [u, i] : s.row)
    for (const auto [v, j] : column) {
      const T* const from = s.source + (i * s.width + j) * s.channels + c;
      const T* const weight = s.weight + (u * s.kernel_width + v) * s.channels + c;
      each([=](Lanes<T>& sum, std::int64_t at) { sum += load_row(from + at, left) * load_row(weight + at, left); });
    }
  each([&](Lanes<T>& sum, std::int64_t at) {
    if (s.bias) sum += load_row(s.bias + c + at, left);
    const Lanes<T> nothing{}, positive = sum <= T{0} ? nothing : sum;
    store_row(out + c + at, s.relu ? positive : sum, left);
  });
}

// to [batch, rows, columns, channels] from source [batch, height, width, channels]; bias may be null.
template <class T>
void sum_meetings(const Conv2dShape& s, const Meetings& rows, const Meetings& columns, std::int64_t height,
                  std::int64_t width, const T* source, const T* weight, const T* bias, bool relu, T* to) {
  constexpr std::int64_t vector = lanes_of<T>;
  constexpr std::integral_constant<std::int64_t, vector> whole{};  // known to the compiler
  const std::int64_t channels = s.in_channels, count = std::ssize(rows), row_size = std::ssize(columns) * channels;
  parallel_for(s.batch * count, rows_at_once(row_size), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const Sums<T> sums{rows[static_cast<std::size_t>(row % count)],
                         source + row / count * height * width * channels,
                         weight,
                         bias,
                         width,
                         s.kernel_width,
                         channels,
                         relu};
      T* out = to + row * row_size;
      for (const std::vector<Meeting>& column : columns) {
        std::int64_t c = 0;
        for (; c + 4 * vector <= channels; c += 4 * vector) sum_channels<4>(sums, column, c, whole, out);
        for (; c + vector <= channels; c += vector) sum_channels<1>(sums, column, c, whole, out);
        if (c < channels) sum_channels<1>(sums, column, c, channels - c, out);
        out += channels;
      }
    }
  });
}

}  // namespace

void forward(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  with_floating("conv2d", x.dtype(), [&]<class T>(T) {
    const auto place = [&](std::int64_t i, std::int64_t tap) { return i * s.stride + tap - s.padding; };
    const Tensor weights = by_taps(weight);
    sum_meetings(s, meetings(s.out_height, s.kernel_height, s.height, place),
                 meetings(s.out_width, s.kernel_width, s.width, place), s.height, s.width, x.data<T>(),
                 weights.data<T>(), bias.defined() ? bias.data<T>() : nullptr, s.relu, y.mutable_data<T>());
  });
}

void input_gradient(const Conv2dShape& s, const Tensor& weight, const Tensor& dy, Out dx) {
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    const auto place = [&](std::int64_t i, std::int64_t tap) {
      const std::int64_t at = i + s.padding - tap;
      return at % s.stride == 0 ? at / s.stride : -1;
    };
    const Tensor weights = by_taps(weight);
    sum_meetings<T>(s, meetings(s.height, s.kernel_height, s.out_height, place),
                    meetings(s.width, s.kernel_width, s.out_width, place), s.out_height, s.out_width, dy.data<T>(),
                    weights.data<T>(), nullptr, false, dx.mutable_data<T>());
  });
}

void parameter_gradients(const Conv2dShape& s, const Tensor& x, const Tensor& dy, Out dweight, Out dbias) {
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    const std::int64_t channels = s.in_channels, taps = s.kernel_height * s.kernel_width, size = (taps + 1) * channels;
    const std::int64_t rows = s.batch * s.out_height;
    const std::int64_t grain = std::max(rows_at_once(s.out_width * channels), num_ranges(rows, std::int64_t{64}));
    const std::int64_t ranges = num_ranges(rows, grain);
    const Scratch<double> partials(std::max<std::int64_t>(ranges, 1) * size);  // [taps, channels], and the bias's
    double* const sums = partials.data();
    std::fill_n(sums, std::max<std::int64_t>(ranges, 1) * size, 0.0);
    const T *px = x.data<T>(), *pdy = dy.data<T>();
    parallel_ranges(rows, grain, [&](std::int64_t range, std::int64_t begin, std::int64_t end) {
      double* const sum = sums + range * size;
      for (std::int64_t row = begin; row < end; ++row) {
        const T* const g = pdy + row * s.out_width * channels;
        const std::int64_t top = row % s.out_height * s.stride - s.padding, image = row / s.out_height * s.height;
        add_rows(g, s.out_width, channels, sum + taps * channels);
        if (!dweight.defined()) continue;
        for (std::int64_t u = std::max<std::int64_t>(-top, 0); u < std::min(s.kernel_height, s.height - top); ++u)
          for (std::int64_t v = 0; v < s.kernel_width; ++v) {
            // The outputs whose tap v meets the image: 0 <= j * stride + v - padding < width.
            const std::int64_t first = num_ranges(std::max<std::int64_t>(s.padding - v, 0), s.stride);
            const std::int64_t last =
                std::min(num_ranges(std::max<std::int64_t>(s.width + s.padding - v, 0), s.stride), s.out_width);
            const T* const pixels = px + ((image + top + u) * s.width + v - s.padding) * channels;
            add_rows<T>(first, last, channels, sum + (u * s.kernel_width + v) * channels,
                        [=, step = s.stride](std::int64_t i, std::int64_t c, std::int64_t count) {
                          const std::int64_t pixel = (i - c) * step + c;
                          return Terms{load_row(g + i, count) * load_row(pixels + pixel, count)};
                        });
          }
      }
    });
    for (std::int64_t range = 1; range < ranges; ++range)
      for (std::int64_t i = 0; i < size; ++i) sums[i] += sums[range * size + i];
    T* const pdw = dweight.defined() ? dweight.mutable_data<T>() : nullptr;
    T* const pdb = dbias.defined() ? dbias.mutable_data<T>() : nullptr;
    for (std::int64_t c = 0; c < channels; ++c) {
      for (std::int64_t tap = 0; tap < taps && pdw; ++tap)
        pdw[c * taps + tap] = static_cast<T>(sums[tap * channels + c]);
      if (pdb) pdb[c] = static_cast<T>(sums[taps * channels + c]);
    }
  });
}

}  // namespace mixgrad::kernels::conv2d_depthwise
