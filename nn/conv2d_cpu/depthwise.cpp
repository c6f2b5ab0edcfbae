// Depthwise convolutions: each channel by itself, so that vectors of channels are what is computed at once. An output
// is a sum over the taps that meet the image, and so is the gradient of a pixel; which taps these are is the same for a
// whole row, and for runs of columns:
//
//   row i      pairs (u, source row)         y[i, j] = sum over both lists of source[row, column] * w[u, v]
//   run        pairs (v, source column) of its first column, and from column to column a step
//
//   forward          source row of u = i * stride + u - padding            of the image
//   input gradient   source row of u = (i + padding - u) / stride          of dy, where that is whole
//
// Some columns of a run are computed together, so that a weight is read once for all of them:
//
//   . [ x x x x . . ] .    first column      Four outputs of a kernel of width 3: each multiplies the vector under its
//   .   [ x x x x . ] .    its neighbour     first tap by the first weight, then that under the second, ...
//
// The gradient of the weight is a sum over positions: each range of rows sums its own, and ranges are added in order.
// There, some taps are what is computed together, so that dy is read once for all of them.
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
using Meetings = std::vector<Meeting>;

// place(i, tap) is anything below 0 or above size - 1 where they do not meet.
template <class F>
Meetings meetings(std::int64_t i, std::int64_t taps, std::int64_t size, F place) {
  Meetings all;
  for (std::int64_t tap = 0; tap < taps; ++tap)
    if (const std::int64_t at = place(i, tap); at >= 0 && at < size) all.push_back({tap, at});
  return all;
}
// Of each row.
template <class F>
std::vector<Meetings> rows_of(std::int64_t rows, std::int64_t taps, std::int64_t size, F place) {
  std::vector<Meetings> all;
  for (std::int64_t i = 0; i < rows; ++i) all.push_back(meetings(i, taps, size, place));
  return all;
}

// Columns first, first + step, ..., of which the k-th meets each tap at its place + k * source_step.
struct Run {
  std::int64_t first, count, step, source_step;
  Meetings taps;
};
// Columns as runs. The next of a run is the one that place() moves by source_step.
template <class F>
std::vector<Run> runs_of(std::int64_t columns, std::int64_t taps, std::int64_t size, std::int64_t step,
                         std::int64_t source_step, F place) {
  std::vector<Run> runs;
  for (std::int64_t first = 0; first < std::min(step, columns); ++first) {
    for (std::int64_t j = first; j < columns; j += step) {
      const Meetings here = meetings(j, taps, size, place);
      const auto continues = [&](const Run& run) {
        return std::equal(here.begin(), here.end(), run.taps.begin(), run.taps.end(), [&](Meeting a, Meeting b) {
          return a.tap == b.tap && a.place == b.place + run.count * source_step;
        });
      };
      if (j > first && continues(runs.back())) ++runs.back().count;
      else runs.push_back({j, 1, step, source_step, here});
    }
  }
  return runs;
}

// Weights [channels, taps] as [taps, channels].
Tensor by_taps(const Tensor& weight) {
  const std::int64_t channels = weight.size(0), taps = weight.numel() / channels;
  Tensor result = Tensor::empty({taps, channels}, weight.options());
  transpose(Cpu{}, weight.raw_view({1, channels, 1, taps, 1}, 0), result.raw_view({1, taps, 1, channels, 1}, 0));
  return result;
}

std::int64_t rows_at_once(std::int64_t row) { return rows_per_range(row, std::int64_t{1} << 14); }

// Calls f(first channel, lanes that are left) for vectors of channels; if they may overlap, the last is a whole one,
// too.
template <class T, class F>
void for_each_channels(std::int64_t channels, bool overlap, F f) {
  constexpr std::int64_t vector = lanes_of<T>;
  constexpr std::integral_constant<std::int64_t, vector> whole{};  // known to the compiler
  std::int64_t c = 0;
  for (; c + vector <= channels; c += vector) f(c, whole);
  if (c == channels) return;
  if (overlap && channels >= vector) f(channels - vector, whole);
  else f(c, channels - c);
}

// What lies under a tap, from the first channel on, and the tap's weights, or the sums of their gradients.
template <class T, class Weight>
struct Tap {
  const T* source;
  Weight* weight;
};
// Those of a row's first column in a run.
template <class T, class Weight>
void list_taps(const Conv2dShape& s, const Meetings& row, const Run& run, std::int64_t width, const T* source,
               Weight* weight, std::vector<Tap<T, Weight>>& taps) {
  taps.clear();
  for (const auto [u, i] : row)
    for (const auto [v, j] : run.taps)
      taps.push_back({source + (i * width + j) * s.in_channels, weight + (u * s.kernel_width + v) * s.in_channels});
}

// What the columns of a run share.
template <class T>
struct Columns {
  std::int64_t channels, source_step, out_step;  // steps from one to the next
  const T* bias;                                 // or null
  bool relu;
};

// `count` columns from column k on of a run that begins at `out`, and of their channels those from c on.
template <std::int64_t count, class T>
[[gnu::always_inline]] inline void sum_columns(const Columns<T>& s, const std::vector<Tap<T, const T>>& taps,
                                               std::int64_t k, std::int64_t c, auto left, T* out) {
  Lanes<T> sums[count] = {};
  for (const Tap<T, const T>& tap : taps) {
    const Lanes<T> weight = load_row(tap.weight + c, left);
    const T* const source = tap.source + k * s.source_step + c;
#pragma GCC unroll 8
    for (std::int64_t i = 0; i < count; ++i) sums[i] += load_row(source + i * s.source_step, left) * weight;
  }
  const Lanes<T> nothing{}, bias = s.bias ? load_row(s.bias + c, left) : nothing;
#pragma GCC unroll 8
  for (std::int64_t i = 0; i < count; ++i) {
    const Lanes<T> sum = sums[i] + bias, positive = sum <= T{0} ? nothing : sum;
    store_row(out + (k + i) * s.out_step + c, s.relu ? positive : sum, left);
  }
}

// All `n` columns of a run, some at a time with all their channels, in the order of memory; the last ones may be
// computed twice.
template <class T>
void sum_run(const Columns<T>& s, const std::vector<Tap<T, const T>>& taps, std::int64_t n, T* out) {
  const auto sum_all = [&]<std::int64_t count>(std::integral_constant<std::int64_t, count>) {
    for (std::int64_t k = 0; k < n; k += count)
      for_each_channels<T>(s.channels, true, [&, first = std::min(k, n - count)](std::int64_t c, auto left) {
        sum_columns<count>(s, taps, first, c, left, out);
      });
  };
  if (n >= 16) sum_all(std::integral_constant<std::int64_t, 8>{});
  else if (n >= 4) sum_all(std::integral_constant<std::int64_t, 4>{});
  else sum_all(std::integral_constant<std::int64_t, 1>{});
}

// The sums of `count` taps += dy * x for `length` columns from k on of a run that begins at dy, few enough to be summed
// in T (core/sums.h).
template <std::int64_t count, class T>
void add_taps(const Tap<T, double>* taps, std::int64_t k, const T* dy, std::int64_t length, std::int64_t channels,
              std::int64_t stride) {
  for_each_channels<T>(channels, false, [&](std::int64_t c, auto left) {
    Lanes<T> sums[count] = {};
    const T* x[count];
    for (std::int64_t t = 0; t < count; ++t) x[t] = taps[t].source + k * stride * channels + c;
    for (std::int64_t j = 0; j < length; ++j) {
      const Lanes<T> g = load_row(dy + (k + j) * channels + c, left);
#pragma GCC unroll 9
      for (std::int64_t t = 0; t < count; ++t) sums[t] += g * load_row(x[t] + j * stride * channels, left);
    }
    for (std::int64_t t = 0; t < count; ++t) add_row(taps[t].weight + c, sums[t], left);
  });
}

template <class T, std::size_t... count>
constexpr auto add_taps_of(std::index_sequence<count...>) {
  return std::array{add_taps<count + 1, T>...};
}

// to [batch, rows, columns, channels] from source [batch, height, width, channels]; bias may be null.
template <class T>
void sum_meetings(const Conv2dShape& s, const std::vector<Meetings>& rows, const std::vector<Run>& runs,
                  std::int64_t columns, std::int64_t height, std::int64_t width, const T* source, const T* weight,
                  const T* bias, bool relu, T* to) {
  const std::int64_t channels = s.in_channels, count = std::ssize(rows), row_size = columns * channels;
  parallel_for(s.batch * count, rows_at_once(row_size), [&](std::int64_t begin, std::int64_t end) {
    std::vector<Tap<T, const T>> taps;
    for (std::int64_t row = begin; row < end; ++row)
      for (const Run& run : runs) {
        list_taps(s, rows[static_cast<std::size_t>(row % count)], run, width,
                  source + row / count * height * width * channels, weight, taps);
        const Columns<T> all{channels, run.source_step * channels, run.step * channels, bias, relu};
        sum_run(all, taps, run.count, to + row * row_size + run.first * channels);
      }
  });
}

}  // namespace

void forward(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  with_floating("conv2d", x.dtype(), [&]<class T>(T) {
    const auto place = [&](std::int64_t i, std::int64_t tap) { return i * s.stride + tap - s.padding; };
    const Tensor weights = by_taps(weight);
    sum_meetings(s, rows_of(s.out_height, s.kernel_height, s.height, place),
                 runs_of(s.out_width, s.kernel_width, s.width, 1, s.stride, place), s.out_width, s.height, s.width,
                 x.data<T>(), weights.data<T>(), bias.defined() ? bias.data<T>() : nullptr, s.relu,
                 y.mutable_data<T>());
  });
}

void input_gradient(const Conv2dShape& s, const Tensor& weight, const Tensor& dy, Out dx) {
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    const auto place = [&](std::int64_t i, std::int64_t tap) {
      const std::int64_t at = i + s.padding - tap;
      return at % s.stride == 0 ? at / s.stride : -1;
    };
    const Tensor weights = by_taps(weight);
    sum_meetings<T>(s, rows_of(s.height, s.kernel_height, s.out_height, place),
                    runs_of(s.width, s.kernel_width, s.out_width, s.stride, 1, place), s.width, s.out_height,
                    s.out_width, dy.data<T>(), weights.data<T>(), nullptr, false, dx.mutable_data<T>());
  });
}

void parameter_gradients(const Conv2dShape& s, const Tensor& x, const Tensor& dy, Out dweight, Out dbias) {
  with_floating("conv2d", dy.dtype(), [&]<class T>(T) {
    const std::int64_t channels = s.in_channels, taps = s.kernel_height * s.kernel_width, size = (taps + 1) * channels;
    const std::int64_t rows = s.batch * s.out_height;
    const std::int64_t grain = std::max(rows_at_once(s.out_width * channels), num_ranges(rows, std::int64_t{64}));
    const std::int64_t ranges = num_ranges(rows, grain);
    constexpr std::int64_t most_taps = 9, most_chain = 32;
    constexpr auto add = add_taps_of<T>(std::make_index_sequence<most_taps>());
    const auto place = [&](std::int64_t i, std::int64_t tap) { return i * s.stride + tap - s.padding; };
    const auto meeting_rows = rows_of(s.out_height, s.kernel_height, s.height, place);
    const auto runs = runs_of(s.out_width, s.kernel_width, s.width, 1, s.stride, place);
    const Scratch<double> partials(std::max<std::int64_t>(ranges, 1) * size);  // [taps, channels], and the bias's
    double* const sums = partials.data();
    std::fill_n(sums, std::max<std::int64_t>(ranges, 1) * size, 0.0);
    const T *px = x.data<T>(), *pdy = dy.data<T>();
    parallel_ranges(rows, grain, [&](std::int64_t range, std::int64_t begin, std::int64_t end) {
      double* const sum = sums + range * size;
      std::vector<Tap<T, double>> under;
      for (std::int64_t row = begin; row < end; ++row) {
        const T* const dy_row = pdy + row * s.out_width * channels;
        add_rows(dy_row, s.out_width, channels, sum + taps * channels);
        if (!dweight.defined()) continue;
        const Meetings& meeting = meeting_rows[static_cast<std::size_t>(row % s.out_height)];
        const T* const image = px + row / s.out_height * s.height * s.width * channels;
        for (const Run& run : runs) {
          list_taps(s, meeting, run, s.width, image, sum, under);
          for_each_part(run.count, most_chain, [&](std::int64_t first, std::int64_t length) {
            for_each_part(std::ssize(under), most_taps, [&](std::int64_t tap, std::int64_t count) {
              add[static_cast<std::size_t>(count - 1)](under.data() + tap, first, dy_row + run.first * channels, length,
                                                       channels, s.stride);
            });
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
