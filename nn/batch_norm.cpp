#include "nn/batch_norm.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "core/rows.h"
#include "core/vector_math.h"

namespace mixgrad::nn {

BatchNorm::BatchNorm(std::int64_t channels, const BatchNormOptions& options) : options_(options) {
  check(channels > 0, "BatchNorm: needs a positive number of channels, got ", channels);
  weight = Tensor::ones({channels});
  if (options.scale) weight = parameter(weight);
  bias = parameter(Tensor::zeros({channels}));
  running_mean = Tensor::zeros({channels});
  running_var = Tensor::ones({channels});
}

Tensor BatchNorm::forward_activated(const Tensor& x, const functions::Activation& activation) {
  const std::int64_t channels = weight.numel();
  check(x.rank() >= 2 && x.size(-1) == channels, "BatchNorm: input ", x.shape(), " must have ", channels,
        " channels in its last axis");
  check(x.dtype() == weight.dtype(), "BatchNorm: input is ", name_of(x.dtype()), ", weight ", name_of(weight.dtype()));
  check_same_device("BatchNorm", x.device(), weight.device());
  const bool train = training();
  check(!train || x.numel() > channels, "BatchNorm: training needs more than one value per channel, got input ",
        x.shape());

  Tensor mean = running_mean, var = running_var;
  if (train) {
    mean = Tensor::empty({channels}, x.options());
    var = Tensor::empty({channels}, x.options());
    dispatch("batch_norm_statistics", x.device(), [&](auto device) {
      kernels::batch_norm_statistics(device, x, options_.momentum, running_mean, running_var, mean, var);
    });
  }
  const Tensor y = Tensor::empty(x.shape(), x.options());
  const double eps = options_.eps;
  dispatch("batch_norm_forward", x.device(), [&](auto device) {
    kernels::batch_norm_forward(device, x, {mean, var, weight, bias, eps, activation, train}, y);
  });
  constexpr const char* names[] = {"batch_norm", "batch_norm_relu", "batch_norm_silu", "batch_norm_gelu"};
  record(y, names[activation.index()], {x, weight, bias},
         [eps, activation, train, x = Saved(x), mean = Saved(mean), var = Saved(var), weight = Saved(weight),
          bias = Saved(bias)](const Tensor& grad, Gradients& to) {
           Tensor dx = Tensor::empty(x->shape(), grad.options());
           Tensor dweight = Tensor::empty(weight->shape(), grad.options());
           Tensor dbias = Tensor::empty(weight->shape(), grad.options());
           dispatch("batch_norm_backward", grad.device(), [&](auto device) {
             kernels::batch_norm_backward(device, *x, {*mean, *var, *weight, *bias, eps, activation, train}, grad, dx,
                                          dweight, dbias);
           });
           to.add(0, std::move(dx));
           to.add(1, std::move(dweight));
           to.add(2, std::move(dbias));
         });
  return y;
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
namespace {

constexpr std::int64_t batch_norm_grain = std::int64_t{1} << 14;  // elements per range

// Rows of a range that is summed: not so few that it is much to add the ranges' sums.
std::int64_t rows_summed(std::int64_t channels) {
  return std::max<std::int64_t>(rows_per_range(channels, batch_norm_grain), 64);
}

// Two sums over all rows, for each channel: of(row * channels + c, c, count) is what a row has for them, from channel c
// on. Each range of rows sums apart; the ranges are added in order.
template <class T, class F>
void sum_over_rows(std::int64_t rows, std::int64_t channels, T* first, T* second, F of) {
  const std::int64_t grain = rows_summed(channels), ranges = num_ranges(rows, grain), size = 2 * channels;
  const Scratch<double> partials((ranges + 1) * size);
  double* const total = partials.data();  // and behind it those of the ranges
  parallel_ranges(rows, grain, [=](std::int64_t range, std::int64_t begin, std::int64_t end) {
    double* const partial = total + (range + 1) * size;
    std::fill_n(partial, size, 0.0);
    add_rows<T>(begin, end, channels, partial, of);
  });
  std::fill_n(total, size, 0.0);
  for (std::int64_t range = 1; range <= ranges; ++range)
    for (std::int64_t i = 0; i < size; ++i) total[i] += total[range * size + i];
  const auto rounded = [](double sum) { return static_cast<T>(sum); };
  std::transform(total, total + channels, first, rounded);
  std::transform(total + channels, total + 2 * channels, second, rounded);
}

// The numbers of all channels, those of a kind next to each other.
template <class T>
struct Factors {
  explicit Factors(const BatchNormParameters& p) {
    const BatchNormChannels<T, functions::Identity> channels(p, cpu);
    for (std::int64_t c = 0; c < p.weight.numel(); ++c) {
      const auto channel = channels.backward(c);
      scale.push_back(channel.line.scale);
      shift.push_back(channel.line.shift);
      inverse.push_back(channel.inverse);
    }
  }
  std::vector<T> scale, shift, inverse;
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
    const std::int64_t channels = x.size(-1), rows = x.numel() / channels;
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
      add_rows<T>(begin, end, channels, means, [=](std::int64_t i, std::int64_t c, std::int64_t count) {
        const Lanes<T> value = load_row(px + i, count) - load_row(shift + c, count);
        return Terms{value, value * value};
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
    const std::int64_t channels = x.size(-1), rows = x.numel() / channels;
    const T* px = x.data<T>();
    T* py = y.mutable_data<T>();
    const Factors<T> factors(p);
    const T* a = factors.scale.data();
    const T* b = factors.shift.data();
    const auto forward = [=]<class F>(F) {
      parallel_for(rows, rows_per_range(channels, batch_norm_grain), [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
          for_each_lanes<T>(channels, [=](std::int64_t c, std::int64_t count) {
            const BatchNormLine<Lanes<T>, F> line{load_row(a + c, count), load_row(b + c, count)};
            store_row(py + row * channels + c, line(load_row(px + row * channels + c, count)), count);
          });
      });
    };
    std::visit(forward, p.activation);
  });
}

void batch_norm_backward(Cpu, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, Out dx, Out dweight,
                         Out dbias) {
  with_floating("batch_norm", x.dtype(), [&]<class T>(T) {
    const std::int64_t channels = x.size(-1), rows = x.numel() / channels;
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
    const T* pi = factors.inverse.data();
    const T share = p.batch_statistics ? 1 / static_cast<T>(rows) : T{0};
    const auto backward = [=]<class F>(F) {
      // Of the channels from c on.
      const auto channels_at = [=](std::int64_t c, std::int64_t count) {
        const auto at = [=](const T* values) { return load_row(values + c, count); };
        return BatchNormBackward<Lanes<T>, F>{{at(a), at(b)}, at(pm), at(pi), at(pw)};
      };
      sum_over_rows<T>(rows, channels, pdw, pdb, [=](std::int64_t i, std::int64_t c, std::int64_t count) {
        const auto channel = channels_at(c, count);
        const Lanes<T> x = load_row(px + i, count), g = channel.line.backward(x, load_row(pdy + i, count));
        return Terms{channel.dweight_of(x, g), g};
      });
      parallel_for(rows, rows_per_range(channels, batch_norm_grain), [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = begin; row < end; ++row)
          for_each_lanes<T>(channels, [=](std::int64_t c, std::int64_t count) {
            auto channel = channels_at(c, count);
            channel.dweight = load_row(pdw + c, count);
            channel.dbias = load_row(pdb + c, count);
            channel.share = Lanes<T>{} + share;
            const std::int64_t i = row * channels + c;
            store_row(pdx + i, channel(load_row(px + i, count), load_row(pdy + i, count)), count);
          });
      });
    };
    std::visit(backward, p.activation);
  });
}

}  // namespace mixgrad::kernels
