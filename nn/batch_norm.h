// Batch normalisation (Ioffe and Szegedy, 2015) over the last axis: every other axis is a row, so it serves images
// [N, H, W, C] and features [N, C] alike.
//
//   y = (x - mean) / sqrt(variance + eps) * weight + bias, for each channel
//
// In training, mean and (biased) variance are those of the batch, and the running estimates move towards them:
// running = (1 - momentum) * running + momentum * batch, with the unbiased variance. In evaluation the running
// estimates are used. The conventions are PyTorch's.
#pragma once

#include <cmath>

#include "core/elementwise.h"
#include "core/host_device.h"
#include "nn/module.h"

namespace mixgrad::nn {

struct BatchNormOptions {
  double eps = 1e-5;
  double momentum = 0.1;
  bool scale = true;  // train the weight; else it stays 1, as a buffer
};

class BatchNorm : public Module {
 public:
  explicit BatchNorm(std::int64_t channels, const BatchNormOptions& options = {});

  // Throws unless the last axis has `channels` entries, or when training on fewer than two rows.
  Tensor forward(const Tensor& x) override { return forward_activated(x, functions::Identity{}); }
  // The same and an activation of it in one pass, whose input is not kept: y is computed again where it is needed.
  Tensor forward_activated(const Tensor& x, const functions::Activation& activation);
  void visit(Visitor& visitor) override {
    if (options_.scale) visitor.parameter("weight", weight);
    else visitor.buffer("weight", weight);
    visitor.parameter("bias", bias);
    visitor.buffer("running_mean", running_mean);
    visitor.buffer("running_var", running_var);
  }
  std::string name() const override { return text_of("BatchNorm(", weight.numel(), ")"); }

  Tensor weight, bias;               // [channels], one and zero at first
  Tensor running_mean, running_var;  // [channels], zero and one at first

 private:
  BatchNormOptions options_;
};

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
// The formulas, for one channel or element.
template <class T>
MIXGRAD_HOST_DEVICE T moving_average(T running, T batch, T kept, T share) {
  return running * kept + batch * share;
}
// y = F(line), line = scale x + shift, and the gradient of the line from that of y.
template <class T, class F>
struct BatchNormLine {
  T scale, shift;

  MIXGRAD_HOST_DEVICE T operator()(T x) const { return F{}(scale * x + shift); }
  MIXGRAD_HOST_DEVICE T backward(T x, T dy) const {
    const T line = scale * x + shift;
    if constexpr (functions::saves_input<F>) return F{}.from_input(line, dy);
    else return F{}.from_output(F{}(line), dy);
  }
};
// With h = (x - mean) / sqrt(var + eps), and sums over all rows: dbias = sum dy, dweight = sum dy h, and
// dx = weight / sqrt(var + eps) * (dy - (dbias + h dweight) / rows), without the bracket's second term when mean and
// var are constants.
template <class T, class F>
struct BatchNormBackward {
  BatchNormLine<T, F> line;
  T mean, inverse, weight;        // inverse = 1 / sqrt(var + eps)
  T dweight{}, dbias{}, share{};  // once they are known; share = 1 / rows, or 0

  MIXGRAD_HOST_DEVICE T dweight_of(T x, T dy) const { return dy * (x - mean) * inverse; }  // dy as it is for the line
  MIXGRAD_HOST_DEVICE T operator()(T x, T dy) const {
    const T h = (x - mean) * inverse;
    return weight * inverse * (line.backward(x, dy) - (dbias + h * dweight) * share);
  }
};

struct BatchNormParameters {
  const Tensor &mean, &var, &weight, &bias;  // [channels]
  double eps;
  functions::Activation activation;  // of the result, in the same pass
  bool batch_statistics;  // mean and var were computed from x, so that the gradient flows through them as well
};
// The formulas with the parameters of a channel.
template <class T, class F>
struct BatchNormChannels {
  BatchNormChannels(const BatchNormParameters& p, Device where)
      : mean(p.mean.data<T>(where)),
        var(p.var.data<T>(where)),
        weight(p.weight.data<T>(where)),
        bias(p.bias.data<T>(where)),
        eps(static_cast<T>(p.eps)) {}
  MIXGRAD_HOST_DEVICE BatchNormLine<T, F> at(std::int64_t c) const {
    const T scale = weight[c] / std::sqrt(var[c] + eps);
    return {scale, bias[c] - mean[c] * scale};
  }
  MIXGRAD_HOST_DEVICE BatchNormBackward<T, F> backward(std::int64_t c) const {
    return {at(c), mean[c], 1 / std::sqrt(var[c] + eps), weight[c]};
  }

  const T *mean, *var, *weight, *bias;
  T eps;
};

// mean[c] and the biased variance var[c] over the rows of x [..., c]; the running estimates move towards them.
MIXGRAD_KERNEL(batch_norm_statistics, const Tensor& x, double momentum, Out running_mean, Out running_var, Out mean,
               Out var);

// y = activation((x - mean) / sqrt(var + eps) * weight + bias)
MIXGRAD_KERNEL(batch_norm_forward, const Tensor& x, const BatchNormParameters& p, Out y);
// The gradients, each overwritten.
MIXGRAD_KERNEL(batch_norm_backward, const Tensor& x, const BatchNormParameters& p, const Tensor& dy, Out dx,
               Out dweight, Out dbias);
}  // namespace mixgrad::kernels
