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

template <class F>
using Channels = BatchNormChannels<float, F>;

// The terms of dweight and dbias.
template <class F>
struct ParameterTerms {
  Channels<F> channels;
  const float *x, *dy;
  __device__ Terms<float, 2> operator()(std::int64_t i, std::int64_t c) const {
    const auto channel = channels.backward(c);
    const float g = channel.line.backward(x[i], dy[i]);
    return {{channel.dweight_of(x[i], g), g}};
  }
};

template <class F>
struct InputGradient {
  Channels<F> channels;
  const float *dweight, *dbias;
  float share;
  __device__ BatchNormBackward<float, F> at(std::int64_t c) const {
    auto channel = channels.backward(c);
    channel.dweight = dweight[c];
    channel.dbias = dbias[c];
    channel.share = share;
    return channel;
  }
};

}  // namespace

void batch_norm_statistics(Cuda device, const Tensor& x, double momentum, Out running_mean, Out running_var, Out mean,
                           Out var) {
  const std::int64_t channels = x.size(-1), rows = x.numel() / channels;
  const Tensor moments = Tensor::empty({Moments::size, channels}, x.options());
  reduce_columns<Moments>(device, 1, rows, channels, Shifted{read(x)}, write(moments));
  launch_threads(device, channels, statistics_kernel, read(moments), read(x), static_cast<int>(channels),
                 static_cast<float>(rows), static_cast<float>(momentum),
                 static_cast<float>(static_cast<double>(rows) / static_cast<double>(rows - 1)), write(running_mean),
                 write(running_var), write(mean), write(var));
}

void batch_norm_forward(Cuda device, const Tensor& x, const BatchNormParameters& p, Out y) {
  const auto forward = [&]<class F>(F) {
    map_channels(device, x.numel(), x.size(-1), Channels<F>(p, cuda), write(y), read(x));
  };
  std::visit(forward, p.activation);
}

void batch_norm_backward(Cuda device, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, Out dx,
                         Out dweight, Out dbias) {
  const std::int64_t channels = x.size(-1), rows = x.numel() / channels;
  const float share = p.batch_statistics ? 1 / static_cast<float>(rows) : 0.0f;
  float *const dw = write(dweight), *const db = write(dbias);
  const auto backward = [&]<class F>(F) {
    const Channels<F> of(p, cuda);
    column_sums<2>(device, 1, rows, channels, ParameterTerms<F>{of, read(x), read(dy)}, TwoArrays{dw, channels, db});
    map_channels(device, x.numel(), channels, InputGradient<F>{of, dw, db, share}, write(dx), read(x), read(dy));
  };
  std::visit(backward, p.activation);
}

}  // namespace mixgrad::kernels
