#include "core/column_sums.cuh"
#include "nn/batch_norm.h"

namespace mixgrad::kernels {
namespace {

// Of x - shift and its square, where shift is the first row: exact enough when the mean is far from zero.
struct ShiftedMoments {
  const float* x;
  __device__ Sums<2> operator()(std::int64_t i, std::int64_t channel) const {
    const float value = x[i] - x[channel];
    return {{value, value * value}};
  }
};

// moments [2, channels]: the means of x - shift and its square.
__global__ void statistics_kernel(const float* moments, const float* shift, int channels, float* mean, float* var) {
  const auto c = static_cast<int>(global_index());
  if (c >= channels) return;
  const float shifted_mean = moments[c];
  mean[c] = shift[c] + shifted_mean;
  var[c] = fmaxf(moments[channels + c] - shifted_mean * shifted_mean, 0.0f);
}

// scale [channels] and shift [channels] of y = scale x + shift
__global__ void forward_factors_kernel(const float* mean, const float* var, const float* weight, const float* bias,
                                       float eps, int channels, float* factors) {
  const auto c = static_cast<int>(global_index());
  if (c >= channels) return;
  const float scale = weight[c] / sqrtf(var[c] + eps);
  factors[c] = scale;
  factors[channels + c] = bias[c] - mean[c] * scale;
}

struct Normalise {
  const float *scale, *shift;
  __device__ float operator()(int c, float x) const { return scale[c] * x + shift[c]; }
};

// The shares of dweight and dbias, but for the factor 1 / sqrt(var + eps) of the first.
struct WeightTerms {
  const float *x, *dy, *mean;
  __device__ Sums<2> operator()(std::int64_t i, std::int64_t channel) const {
    return {{dy[i] * (x[i] - mean[channel]), dy[i]}};
  }
};

// sums [2, channels] from WeightTerms; then dx = a dy - b (x - mean) - d with the factors a, b, d [channels], where
// share is 1 / rows, or 0 when mean and var are constants.
__global__ void backward_factors_kernel(const float* sums, const float* var, const float* weight, float eps,
                                        float share, int channels, float* dweight, float* dbias, float* factors) {
  const auto c = static_cast<int>(global_index());
  if (c >= channels) return;
  const float inverse = 1 / sqrtf(var[c] + eps), scale = weight[c] * inverse;
  dweight[c] = sums[c] * inverse;
  dbias[c] = sums[channels + c];
  factors[c] = scale;
  factors[channels + c] = scale * inverse * dweight[c] * share;
  factors[2 * channels + c] = scale * dbias[c] * share;
}

struct InputGradient {
  const float *a, *b, *d, *mean;
  __device__ float operator()(int c, float x, float dy) const { return a[c] * dy - b[c] * (x - mean[c]) - d[c]; }
};

}  // namespace

void batch_norm_statistics(Cuda device, const Tensor& x, const Tensor& mean, const Tensor& var) {
  const std::int64_t rows = x.size(0), channels = x.size(1);
  const Tensor moments = Tensor::empty({2, channels}, x.options());
  column_sums<2>(device, 1, rows, channels, ShiftedMoments{read(x)}, write(moments), static_cast<double>(rows));
  launch(device, statistics_kernel, blocks_for(channels), block_threads, 0, read(moments), read(x),
         static_cast<int>(channels), write(mean), write(var));
}

void batch_norm_forward(Cuda device, const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                        const Tensor& bias, double eps, const Tensor& y) {
  const std::int64_t channels = x.size(1);
  const Tensor factors = Tensor::empty({2, channels}, x.options());
  float* scale = write(factors);
  launch(device, forward_factors_kernel, blocks_for(channels), block_threads, 0, read(mean), read(var), read(weight),
         read(bias), static_cast<float>(eps), static_cast<int>(channels), scale);
  map_channels(device, x.numel(), channels, Normalise{scale, scale + channels}, write(y), read(x));
}

void batch_norm_backward(Cuda device, const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                         const Tensor& dy, double eps, bool batch_statistics, const Tensor& dx, const Tensor& dweight,
                         const Tensor& dbias) {
  const std::int64_t rows = x.size(0), channels = x.size(1);
  const Tensor sums = Tensor::empty({2, channels}, x.options()), factors = Tensor::empty({3, channels}, x.options());
  column_sums<2>(device, 1, rows, channels, WeightTerms{read(x), read(dy), read(mean)}, write(sums));
  float* a = write(factors);
  launch(device, backward_factors_kernel, blocks_for(channels), block_threads, 0, read(sums), read(var), read(weight),
         static_cast<float>(eps), batch_statistics ? 1 / static_cast<float>(rows) : 0.0f, static_cast<int>(channels),
         write(dweight), write(dbias), a);
  map_channels(device, x.numel(), channels, InputGradient{a, a + channels, a + 2 * channels, read(mean)}, write(dx),
               read(x), read(dy));
}

}  // namespace mixgrad::kernels
