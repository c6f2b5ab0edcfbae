#include "nn/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <vector>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "core/sums.h"

namespace mixgrad::nn {

BatchNorm::BatchNorm(std::int64_t channels, const BatchNormOptions& options) : options_(options) {
  check(channels > 0, "BatchNorm: needs a positive number of channels, got ", channels);
  weight = parameter(Tensor::ones({channels}));
  bias = parameter(Tensor::zeros({channels}));
  running_mean = Tensor::zeros({channels});
  running_var = Tensor::ones({channels});
}

Tensor BatchNorm::apply(const Tensor& x, bool relu) {
  const std::int64_t channels = weight.numel();
  check(x.rank() >= 2 && x.size(-1) == channels, "BatchNorm: input ", x.shape(), " must have ", channels,
        " channels in its last axis");
  check(x.dtype() == weight.dtype(), "BatchNorm: input is ", name_of(x.dtype()), ", weight ", name_of(weight.dtype()));
  check_same_device("BatchNorm", x.device(), weight.device());
  const std::int64_t rows = x.numel() / channels;
  const bool train = training();
  check(!train || rows > 1, "BatchNorm: training needs more than one value per channel, got input ", x.shape());

  const Shape matrix{rows, channels};
  Tensor mean = running_mean, var = running_var;
  if (train) {
    mean = Tensor::empty({channels}, x.options());
    var = Tensor::empty({channels}, x.options());
    dispatch("batch_norm_statistics", x.device(), [&](auto device) {
      kernels::batch_norm_statistics(device, x.raw_view(matrix, 0), options_.momentum, running_mean, running_var, mean,
                                     var);
    });
  }
  const Tensor y = Tensor::empty(x.shape(), x.options());
  const double eps = options_.eps;
  dispatch("batch_norm_forward", x.device(), [&](auto device) {
    kernels::batch_norm_forward(device, x.raw_view(matrix, 0), {mean, var, weight, bias, eps, relu, train},
                                y.raw_view(matrix, 0));
  });
  record(y, relu ? "batch_norm_relu" : "batch_norm", {x, weight, bias},
         [matrix, eps, relu, train, x = Saved(x), mean = Saved(mean), var = Saved(var), weight = Saved(weight),
          bias = Saved(bias)](const Tensor& grad, Gradients& to) {
           const Tensor dx = Tensor::empty(x->shape(), grad.options());
           const Tensor dweight = Tensor::empty(weight->shape(), grad.options());
           const Tensor dbias = Tensor::empty(weight->shape(), grad.options());
           dispatch("batch_norm_backward", grad.device(), [&](auto device) {
             kernels::batch_norm_backward(device, x->raw_view(matrix, 0),
                                          {*mean, *var, *weight, *bias, eps, relu, train}, grad.raw_view(matrix, 0),
                                          dx.raw_view(matrix, 0), dweight, dbias);
           });
           to.add(0, dx);
           to.add(1, dweight);
           to.add(2, dbias);
         });
  return y;
}

void BatchNorm::visit(Visitor& visitor) {
  visitor.parameter("weight", weight);
  visitor.parameter("bias", bias);
  visitor.buffer("running_mean", running_mean);
  visitor.buffer("running_var", running_var);
}

std::string BatchNorm::name() const { return "BatchNorm(" + std::to_string(weight.numel()) + ")"; }

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
namespace {

constexpr std::int64_t batch_norm_grain = std::int64_t{1} << 14;  // elements per range

// Rows of a range that is summed: not so few that it is much to add the ranges' sums.
std::int64_t rows_summed(std::int64_t channels) {
  return std::max<std::int64_t>(rows_per_range(channels, batch_norm_grain), 64);
}

// Two sums over all rows, for each channel: of(row * channels + c, c) is what a row has for them. Each range of rows
// sums apart; the ranges are added in order.
template <class T, class F>
void sum_over_rows(std::int64_t rows, std::int64_t channels, T* first, T* second, F of) {
  const std::int64_t grain = rows_summed(channels), ranges = num_ranges(rows, grain);
  const Scratch<double> partials((ranges + 1) * 2 * channels);
  double* const total = partials.data();  // and behind it those of the ranges
  const auto of_range = [=](std::int64_t range) { return total + (range + 1) * 2 * channels; };
  parallel_ranges(rows, grain, [=](std::int64_t range, std::int64_t begin, std::int64_t end) {
    std::fill_n(of_range(range), 2 * channels, 0.0);
    add_rows<T, 2>(begin, end, channels, of_range(range), of);
  });
  std::fill_n(total, 2 * channels, 0.0);
  for (std::int64_t range = 0; range < ranges; ++range)
    for (std::int64_t i = 0; i < 2 * channels; ++i) total[i] += of_range(range)[i];
  const auto rounded = [](double sum) { return static_cast<T>(sum); };
  std::transform(total, total + channels, first, rounded);
  std::transform(total + channels, total + 2 * channels, second, rounded);
}

// The lines of all channels.
template <class T>
struct Factors {
  explicit Factors(const BatchNormParameters& p) {
    for (std::int64_t c = 0; c < p.weight.numel(); ++c) {
      const auto line = BatchNormLine<T, false>::of(p.mean.data<T>()[c], p.var.data<T>()[c], p.weight.data<T>()[c],
                                                    p.bias.data<T>()[c], static_cast<T>(p.eps));
      scale.push_back(line.scale);
      shift.push_back(line.shift);
    }
  }
  std::vector<T> scale, shift;
};

// running = (1 - momentum) * running + momentum * batch
template <class T>
void move_towards(const Tensor& running, const Tensor& batch, double momentum, double factor = 1) {
  T* pr = running.mutable_data<T>();
  for (std::int64_t c = 0; c < running.numel(); ++c)
    pr[c] = moving_average(pr[c], batch.data<T>()[c], static_cast<T>(1 - momentum), static_cast<T>(momentum * factor));
}

}  // namespace

void batch_norm_statistics(Cpu, const Tensor& x, double momentum, Out running_mean, Out running_var, Out mean,
                           Out var) {
  with_floating("batch_norm", x.dtype(), [&]<class T>(T) {
    const std::int64_t rows = x.size(0), channels = x.size(1);
    const T* px = x.data<T>();
    T* pm = mean.mutable_data<T>();
    T* pv = var.mutable_data<T>();
    // Each range takes its mean, and then what is left to it and the squares of that, while its rows are still in the
    // cache. Ranges are merged in order (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
    // computing sample variances", 1979): no row is special, however far from the others.
    const std::int64_t grain = rows_summed(channels), ranges = num_ranges(rows, grain);
    const Scratch<double> moments(ranges * 2 * channels);  // means and sums of squared deviations
    const Scratch<T> shifts(ranges * channels);
    double* const first = moments.data();
    T* const ps = shifts.data();
    parallel_ranges(rows, grain, [=](std::int64_t range, std::int64_t begin, std::int64_t end) {
      double *const means = first + range * 2 * channels, *const squares = means + channels;
      T* const shift = ps + range * channels;
      const double n = static_cast<double>(end - begin);
      std::fill_n(means, 2 * channels, 0.0);
      add_rows(px + begin * channels, end - begin, channels, means);
      for (std::int64_t c = 0; c < channels; ++c) {
        shift[c] = static_cast<T>(means[c] / n);
        means[c] = 0;
      }
      add_rows<T, 2>(begin, end, channels, means, [=](std::int64_t i, std::int64_t c) {
        const T value = px[i] - shift[c];
        return Terms<T, 2>{{value, value * value}};
      });
      for (std::int64_t c = 0; c < channels; ++c) {
        const double left = means[c] / n;
        squares[c] -= left * means[c];
        means[c] = static_cast<double>(shift[c]) + left;
      }
    });
    double n = static_cast<double>(std::min(grain, rows));
    for (std::int64_t range = 1; range < ranges; ++range) {
      const double *means = first + range * 2 * channels, *squares = means + channels;
      const double more = static_cast<double>(std::min(grain, rows - range * grain)), share = more / (n + more);
      for (std::int64_t c = 0; c < channels; ++c) {
        const double difference = means[c] - first[c];
        first[c] += difference * share;
        first[channels + c] += squares[c] + difference * difference * n * share;
      }
      n += more;
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      pm[c] = static_cast<T>(first[c]);
      pv[c] = static_cast<T>(std::max(first[channels + c], 0.0) / n);
    }
    move_towards<T>(running_mean, mean, momentum);
    move_towards<T>(running_var, var, momentum, static_cast<double>(rows) / static_cast<double>(rows - 1));
  });
}

void batch_norm_forward(Cpu, const Tensor& x, const BatchNormParameters& p, Out y) {
  with_floating("batch_norm", x.dtype(), [&]<class T>(T) {
    const std::int64_t rows = x.size(0), channels = x.size(1);
    const T* px = x.data<T>();
    T* py = y.mutable_data<T>();
    const Factors<T> factors(p);
    const T* a = factors.scale.data();
    const T* b = factors.shift.data();
    with_constant(p.relu, [&](auto relu) {
      parallel_for(rows, rows_per_range(channels, batch_norm_grain), [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c)
            py[row * channels + c] = BatchNormLine<T, relu.value>{a[c], b[c]}(px[row * channels + c]);
      });
    });
  });
}

// With h = (x - mean) / sqrt(var + eps): dbias = sum dy, dweight = sum dy h, and
// dx = weight / sqrt(var + eps) * (dy - (dbias + h dweight) / rows), without the bracket's second term when mean and
// var are constants.
void batch_norm_backward(Cpu, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, Out dx, Out dweight,
                         Out dbias) {
  with_floating("batch_norm", x.dtype(), [&]<class T>(T) {
    const std::int64_t rows = x.size(0), channels = x.size(1);
    const T* px = x.data<T>();
    const T* pm = p.mean.data<T>();
    const T* pw = p.weight.data<T>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    T* pdw = dweight.mutable_data<T>();
    T* pdb = dbias.mutable_data<T>();
    const Factors<T> factors(p);
    const T* a = factors.scale.data();
    const T* b = factors.shift.data();
    std::vector<T> inverse(static_cast<std::size_t>(channels));
    for (std::int64_t c = 0; c < channels; ++c)
      inverse[static_cast<std::size_t>(c)] = inverse_deviation(p.var.data<T>()[c], static_cast<T>(p.eps));
    const T* pi = inverse.data();
    const T share = p.batch_statistics ? 1 / static_cast<T>(rows) : T{0};
    with_constant(p.relu, [&](auto relu) {
      const auto gradient = [=](std::int64_t i, std::int64_t c) {
        return BatchNormLine<T, relu.value>{a[c], b[c]}.backward(px[i], pdy[i]);
      };
      sum_over_rows<T>(rows, channels, pdw, pdb, [=](std::int64_t i, std::int64_t c) {
        const T g = gradient(i, c);
        return Terms<T, 2>{{g * (px[i] - pm[c]) * pi[c], g}};
      });
      parallel_for(rows, rows_per_range(channels, batch_norm_grain), [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
#pragma omp simd
          for (std::int64_t c = 0; c < channels; ++c) {
            const std::int64_t i = row * channels + c;
            const T h = (px[i] - pm[c]) * pi[c];
            pdx[i] = pw[c] * pi[c] * (gradient(i, c) - (pdb[c] + h * pdw[c]) * share);
          }
      });
    });
  });
}

}  // namespace mixgrad::kernels
