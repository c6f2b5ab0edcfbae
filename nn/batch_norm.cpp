#include "nn/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>
#include <typeinfo>
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

// A class derived from this one has a forward of its own, which counts.
Tensor BatchNorm::forward_relu(const Tensor& x) {
  return typeid(*this) == typeid(BatchNorm) ? apply(x, true) : Module::forward_relu(x);
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

// sums [2, channels]: two sums over all rows for each channel, to which add(begin, end, sums) adds those of a range of
// rows. The ranges are added in order.
template <class F>
void sum_over_rows(std::int64_t rows, std::int64_t channels, double* sums, F add) {
  const std::int64_t grain = rows_summed(channels), ranges = num_ranges(rows, grain), size = 2 * channels;
  const Scratch<double> partials(ranges * size);
  double* const of_range = partials.data();
  std::fill_n(of_range, ranges * size, 0.0);
  parallel_ranges(rows, grain, [=](std::int64_t range, std::int64_t begin, std::int64_t end) {
    add(begin, end, of_range + range * size);
  });
  std::fill_n(sums, size, 0.0);
  for (std::int64_t range = 0; range < ranges; ++range)
    for (std::int64_t i = 0; i < size; ++i) sums[i] += of_range[range * size + i];
}

// sums [2, channels] += those of x - shift and of its square. A block of n rows is taken around its own mean m in T,
// and that around the shift in f64:
//
//   sum of (x - shift)^2 = sum of (x - m)^2 + n (m - shift)^2
//
// (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances", 1979). So it
// matters to no digit of f32 how far the shift, or a row, is from the others.
template <class T>
void add_moments(std::int64_t begin, std::int64_t end, std::int64_t channels, const T* x, const T* shift,
                 double* sums) {
  const auto add_block = [=](auto n, std::int64_t row) {
#pragma omp simd
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto at = [=](int r) { return x[(row + r) * channels + c]; };
      const auto square = [](T value) { return value * value; };
      const T mean = tree_sum<n>(at) / T{n};
      const T squares = tree_sum<n>([=](int r) { return square(at(r) - mean); });
      const double difference = static_cast<double>(mean) - static_cast<double>(shift[c]);
      sums[c] += n * difference;
      sums[channels + c] += static_cast<double>(squares) + n * difference * difference;
    }
  };
  std::int64_t row = begin;
  for (; row + sum_block <= end; row += sum_block) add_block(std::integral_constant<int, sum_block>(), row);
  for (; row < end; ++row) add_block(std::integral_constant<int, 1>(), row);
}

// y = scale x + shift, for each channel
template <class T>
struct Factors {
  explicit Factors(const BatchNormParameters& p) {
    for (std::int64_t c = 0; c < p.weight.numel(); ++c) {
      scale.push_back(p.weight.data<T>()[c] / std::sqrt(p.var.data<T>()[c] + static_cast<T>(p.eps)));
      shift.push_back(p.bias.data<T>()[c] - p.mean.data<T>()[c] * scale.back());
    }
  }
  std::vector<T> scale, shift;
};

// Calls f with the constant.
template <class F>
void with_constant(bool value, F f) {
  if (value) f(std::true_type{});
  else f(std::false_type{});
}

// running = (1 - momentum) * running + momentum * batch
template <class T>
void move_towards(const Tensor& running, const Tensor& batch, double momentum, double factor = 1) {
  T* pr = running.mutable_data<T>();
  for (std::int64_t c = 0; c < running.numel(); ++c)
    pr[c] = pr[c] * static_cast<T>(1 - momentum) + batch.data<T>()[c] * static_cast<T>(momentum * factor);
}

}  // namespace

void batch_norm_statistics(Cpu, const Tensor& x, double momentum, const Tensor& running_mean, const Tensor& running_var,
                           const Tensor& mean, const Tensor& var) {
  with_floating("batch_norm", x.dtype(), [&]<class T>(T) {
    const std::int64_t rows = x.size(0), channels = x.size(1);
    const T* px = x.data<T>();
    T* pm = mean.mutable_data<T>();
    T* pv = var.mutable_data<T>();
    const Scratch<double> totals(2 * channels);
    const double *sums = totals.data(), *squares = sums + channels;
    sum_over_rows(rows, channels, totals.data(), [=](std::int64_t begin, std::int64_t end, double* sums) {
      add_moments(begin, end, channels, px, px, sums);  // around the first row
    });
    const auto n = static_cast<double>(rows);
    for (std::int64_t c = 0; c < channels; ++c) {
      const double offset = sums[c] / n;
      pm[c] = static_cast<T>(static_cast<double>(px[c]) + offset);
      pv[c] = static_cast<T>(std::max(squares[c] / n - offset * offset, 0.0));
    }
    move_towards<T>(running_mean, mean, momentum);
    move_towards<T>(running_var, var, momentum, static_cast<double>(rows) / static_cast<double>(rows - 1));
  });
}

void batch_norm_forward(Cpu, const Tensor& x, const BatchNormParameters& p, const Tensor& y) {
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
          for (std::int64_t c = 0; c < channels; ++c) {
            const T value = px[row * channels + c] * a[c] + b[c];
            py[row * channels + c] = relu && value <= 0 ? T{0} : value;
          }
      });
    });
  });
}

// With h = (x - mean) / sqrt(var + eps): dbias = sum dy, dweight = sum dy h, and
// dx = weight / sqrt(var + eps) * (dy - (dbias + h dweight) / rows), without the bracket's second term when mean and
// var are constants.
void batch_norm_backward(Cpu, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, const Tensor& dx,
                         const Tensor& dweight, const Tensor& dbias) {
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
      inverse[static_cast<std::size_t>(c)] = 1 / std::sqrt(p.var.data<T>()[c] + static_cast<T>(p.eps));
    const T* pi = inverse.data();
    const T share = p.batch_statistics ? 1 / static_cast<T>(rows) : T{0};
    const Scratch<double> totals(2 * channels);
    with_constant(p.relu, [&](auto relu) {
      const auto gradient = [=](std::int64_t i, std::int64_t c) {
        const T g = pdy[i];  // read in any case, or the loop would have a branch for each element
        return relu && px[i] * a[c] + b[c] <= 0 ? T{0} : g;
      };
      sum_over_rows(rows, channels, totals.data(), [=](std::int64_t begin, std::int64_t end, double* sums) {
        add_rows<T, 2>(begin, end, channels, sums, [=](std::int64_t i, std::int64_t c) {
          const T g = gradient(i, c);
          return Terms<T, 2>{{g * (px[i] - pm[c]) * pi[c], g}};
        });
      });
      const auto rounded = [](double sum) { return static_cast<T>(sum); };
      std::transform(totals.data(), totals.data() + channels, pdw, rounded);
      std::transform(totals.data() + channels, totals.data() + 2 * channels, pdb, rounded);
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
