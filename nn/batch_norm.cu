#include "core/column_sums.cuh"
#include "nn/batch_norm.h"

namespace mixgrad::kernels {
namespace {

// The count, the mean and the sum of squared deviations from it of some numbers; merged by Chan, Golub and LeVeque,
// "Updating formulae and a pairwise algorithm for computing sample variances" (1979).
struct Moments {
  static constexpr int size = 3;
  float count;
  double mean, squares;

  __device__ void add(const float (&x)[sum_block]) {
    float sum = 0, squares = 0;
    for (const float value : x) sum += value;
    const float mean = sum / sum_block;
    for (const float value : x) squares += (value - mean) * (value - mean);
    merge({sum_block, mean, squares});
  }
  __device__ void add(float x) { merge({1, x, 0}); }
  __device__ void add(const Terms<float, size> (&slabs)[sum_block]) {
    for (const auto& slab : slabs) add(slab);
  }
  __device__ void add(const Terms<float, size>& slab) { merge({slab.value[0], slab.value[1], slab.value[2]}); }
  __device__ void merge(const Moments& other) {
    if (other.count == 0) return;
    const float sum = count + other.count;
    const double difference = other.mean - mean, share = other.count / sum;
    mean += difference * share;
    squares += other.squares + difference * difference * (count * share);
    count = sum;
  }
  __device__ double value(int j) const { return j == 0 ? count : j == 1 ? mean : squares; }
};

// x - shift, where shift is the first row: so a mean that is far from zero keeps its digits.
struct Shifted {
  const float* x;
  __device__ float operator()(std::int64_t i, std::int64_t channel) const { return x[i] - x[channel]; }
};

// moments [3, channels]: those of x - shift. unbiased = rows / (rows - 1).
__global__ void statistics_kernel(const float* moments, const float* shift, int channels, float rows, float momentum,
                                  float unbiased, float* running_mean, float* running_var, float* mean, float* var) {
  wait_for_previous_kernel();
  const auto c = static_cast<int>(global_index());
  if (c >= channels) return;
  mean[c] = shift[c] + moments[channels + c];
  var[c] = moments[2 * channels + c] / rows;
  running_mean[c] = moving_average(running_mean[c], mean[c], 1 - momentum, momentum);
  running_var[c] = moving_average(running_var[c], var[c], 1 - momentum, momentum * unbiased);
}

template <bool relu>
using Line = BatchNormLine<float, relu>;

template <bool relu>
struct Normalise {
  const float *scale, *shift;
  __device__ Line<relu> at(std::int64_t c) const { return {scale[c], shift[c]}; }
};

__global__ void forward_factors_kernel(const float* mean, const float* var, const float* weight, const float* bias,
                                       float eps, int channels, float* scale, float* shift) {
  wait_for_previous_kernel();
  const auto c = static_cast<int>(global_index());
  if (c >= channels) return;
  const auto line = Line<false>::of(mean[c], var[c], weight[c], bias[c], eps);
  scale[c] = line.scale;
  shift[c] = line.shift;
}

// The shares of dweight and dbias, but for the factor 1 / sqrt(var + eps) of the first.
template <bool relu>
struct WeightTerms {
  Normalise<relu> normalise;
  const float *x, *dy, *mean;
  __device__ Terms<float, 2> operator()(std::int64_t i, std::int64_t c) const {
    const float g = normalise.at(c).backward(x[i], dy[i]);
    return {{g * (x[i] - mean[c]), g}};
  }
};

// sums [2, channels] from WeightTerms; then dx = a dy - b (x - mean) - d with the factors a, b, d [channels], where
// share is 1 / rows, or 0 when mean and var are constants.
__global__ void backward_factors_kernel(const float* sums, const float* var, const float* weight, float eps,
                                        float share, int channels, float* dweight, float* dbias, float* factors) {
  wait_for_previous_kernel();
  const auto c = static_cast<int>(global_index());
  if (c >= channels) return;
  const float inverse = inverse_deviation(var[c], eps), scale = weight[c] * inverse;
  dweight[c] = sums[c] * inverse;
  dbias[c] = sums[channels + c];
  factors[c] = scale;
  factors[channels + c] = scale * inverse * dweight[c] * share;
  factors[2 * channels + c] = scale * dbias[c] * share;
}

template <bool relu>
struct InputGradient {
  Normalise<relu> normalise;
  const float *a, *b, *d, *mean;
  struct OfChannel {
    Line<relu> line;
    float a, b, d, mean;
    __device__ float operator()(float x, float dy) const { return a * line.backward(x, dy) - b * (x - mean) - d; }
  };
  __device__ OfChannel at(std::int64_t c) const { return {normalise.at(c), a[c], b[c], d[c], mean[c]}; }
};

// Calls f with Normalise<relu> of factors [2, channels], which it fills.
template <class F>
void with_normalise(Cuda device, const BatchNormParameters& p, const Tensor& factors, F f) {
  const std::int64_t channels = p.weight.numel();
  float *scale = write(factors), *shift = scale + channels;
  launch_threads(device, channels, forward_factors_kernel, read(p.mean), read(p.var), read(p.weight), read(p.bias),
                 static_cast<float>(p.eps), static_cast<int>(channels), scale, shift);
  with_constant(p.relu, [&](auto relu) { f(Normalise<relu.value>{scale, shift}); });
}

template <bool relu>
void backward(Cuda device, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, Normalise<relu> normalise,
              Out dx, Out dweight, Out dbias) {
  const std::int64_t rows = x.size(0), channels = x.size(1);
  const Tensor sums = Tensor::empty({2, channels}, x.options()), factors = Tensor::empty({3, channels}, x.options());
  column_sums<2>(device, 1, rows, channels, WeightTerms<relu>{normalise, read(x), read(dy), read(p.mean)}, write(sums));
  float* a = write(factors);
  launch_threads(device, channels, backward_factors_kernel, read(sums), read(p.var), read(p.weight),
                 static_cast<float>(p.eps), p.batch_statistics ? 1 / static_cast<float>(rows) : 0.0f,
                 static_cast<int>(channels), write(dweight), write(dbias), a);
  map_channels(device, x.numel(), channels,
               InputGradient<relu>{normalise, a, a + channels, a + 2 * channels, read(p.mean)}, write(dx), read(x),
               read(dy));
}

}  // namespace

void batch_norm_statistics(Cuda device, const Tensor& x, double momentum, Out running_mean, Out running_var, Out mean,
                           Out var) {
  const std::int64_t rows = x.size(0), channels = x.size(1);
  const Tensor moments = Tensor::empty({Moments::size, channels}, x.options());
  reduce_columns<Moments>(device, 1, rows, channels, Shifted{read(x)}, write(moments));
  launch_threads(device, channels, statistics_kernel, read(moments), read(x), static_cast<int>(channels),
                 static_cast<float>(rows), static_cast<float>(momentum),
                 static_cast<float>(static_cast<double>(rows) / static_cast<double>(rows - 1)), write(running_mean),
                 write(running_var), write(mean), write(var));
}

void batch_norm_forward(Cuda device, const Tensor& x, const BatchNormParameters& p, Out y) {
  const Tensor factors = Tensor::empty({2, x.size(1)}, x.options());
  with_normalise(device, p, factors,
                 [&](auto normalise) { map_channels(device, x.numel(), x.size(1), normalise, write(y), read(x)); });
}

void batch_norm_backward(Cuda device, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, Out dx,
                         Out dweight, Out dbias) {
  const Tensor factors = Tensor::empty({2, x.size(1)}, x.options());
  with_normalise(device, p, factors,
                 [&](auto normalise) { backward(device, x, p, dy, normalise, dx, dweight, dbias); });
}

}  // namespace mixgrad::kernels
