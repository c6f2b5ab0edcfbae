#include "nn/cross_entropy.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/index.h"
#include "core/log_softmax.h"
#include "core/pointwise.h"
#include "core/reduce.h"

namespace mixgrad::nn {
namespace {

Tensor negative_log_likelihood(const Tensor& log_probability, const Tensor& target) {
  check_indices("cross_entropy", target, log_probability.size(1));
  Tensor out = Tensor::empty({target.numel()}, log_probability.options());
  dispatch("negative_log_likelihood", out.device(),
           [&](auto device) { kernels::negative_log_likelihood(device, log_probability, target, out); });
  record(out, "negative_log_likelihood", {log_probability},
         [shape = log_probability.shape(), target = Saved(target)](const Tensor& grad, Gradients& to) {
           Tensor dx = Tensor::empty(shape, grad.options());
           dispatch("negative_log_likelihood_backward", grad.device(),
                    [&](auto device) { kernels::negative_log_likelihood_backward(device, *target, grad, dx); });
           to.add(0, dx);
         });
  return out;
}

}  // namespace

Tensor cross_entropy_per_sample(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  check(logits.rank() == 2, "cross_entropy: logits ", logits.shape(), " must be [N, C]");
  check_same_device("cross_entropy", logits.device(), target.device());
  const bool dense = target.shape() == logits.shape() && target.dtype() == logits.dtype();
  const bool indices = target.shape() == Shape{logits.size(0)} && target.dtype() == DType::i32;
  check(dense || indices, "cross_entropy: for logits ", name_of(logits.dtype()), logits.shape(),
        " the target must be i32 [N] or of the logits' dtype and shape, got ", name_of(target.dtype()), target.shape());
  const double smoothing = options.label_smoothing;
  Tensor log_probability = log_softmax(logits);
  if (options.class_weights.defined()) {
    check(options.class_weights.shape() == Shape{logits.size(1)}, "cross_entropy: class weights ",
          options.class_weights.shape(), " for logits ", logits.shape());
    log_probability = log_probability * options.class_weights.to(logits.dtype());
  }
  const Tensor loss = dense ? -sum(target * log_probability, 1) : negative_log_likelihood(log_probability, target);
  if (smoothing == 0) return loss;
  return (1 - smoothing) * loss - smoothing * mean(log_probability, 1);
}

Loss cross_entropy_with(const CrossEntropyOptions& options) {
  check(options.label_smoothing >= 0 && options.label_smoothing < 1, "cross_entropy: label smoothing ",
        options.label_smoothing, " must be at least 0 and below 1");
  const auto per_sample = [options](const Tensor& logits, const Tensor& target) {
    return cross_entropy_per_sample(logits, target, options);
  };
  return {"cross_entropy", per_sample, options.reduction};
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {

void negative_log_likelihood(Cpu, const Tensor& log_probability, const Tensor& target, const Tensor& out) {
  with_floating("cross_entropy", out.dtype(), [&]<class T>(T) {
    const std::int64_t classes = log_probability.size(1);
    const T* px = log_probability.data<T>();
    const std::int32_t* pt = target.data<std::int32_t>();
    T* po = out.mutable_data<T>();
    for (std::int64_t n = 0; n < out.numel(); ++n) po[n] = -px[n * classes + pt[n]];
  });
}

void negative_log_likelihood_backward(Cpu, const Tensor& target, const Tensor& dy, const Tensor& dx) {
  with_floating("cross_entropy", dx.dtype(), [&]<class T>(T) {
    const std::int64_t classes = dx.size(1);
    const std::int32_t* pt = target.data<std::int32_t>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    std::fill_n(pdx, dx.numel(), T{0});
    for (std::int64_t n = 0; n < dy.numel(); ++n) pdx[n * classes + pt[n]] = -pdy[n];
  });
}

}  // namespace mixgrad::kernels
