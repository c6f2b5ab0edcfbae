#include "nn/cross_entropy.h"

#include <cmath>

#include "core/autograd.h"
#include "core/index.h"
#include "core/log_softmax.h"
#include "core/pointwise.h"
#include "core/reduce.h"

namespace mixgrad::nn {
namespace {

// out[n] = x[n, index[n]]
Tensor pick(const Tensor& x, const Tensor& index) {
  check_indices("cross_entropy", index, x.size(1));
  const Shape rows{x.size(0), x.size(1), 1}, places{x.size(0), 1};  // as the kernels want them
  Tensor out = Tensor::empty(index.shape(), x.options());
  dispatch("take", x.device(), [&](auto device) {
    kernels::take(device, x.raw_view(rows, 0), index.raw_view(places, 0), out.raw_view(places, 0));
  });
  record(out, "pick", {x}, [rows, places, index = Saved(index)](const Tensor& grad, Gradients& to) {
    const Tensor dx = Tensor::empty(rows, grad.options());
    dispatch("take_backward", grad.device(), [&](auto device) {
      kernels::take_backward(device, index->raw_view(places, 0), grad.raw_view(places, 0), dx);
    });
    to.add(0, dx.raw_view({rows[0], rows[1]}, 0));
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
    log_probability = log_probability * options.class_weights.to(logits.device()).to(logits.dtype());
  }
  const Tensor loss = -(dense ? sum(target * log_probability, 1) : pick(log_probability, target));
  if (smoothing == 0) return loss;
  return (1 - smoothing) * loss - smoothing * mean(log_probability, 1);
}

Loss cross_entropy_with(const CrossEntropyOptions& options) {
  check(options.label_smoothing >= 0 && options.label_smoothing < 1, "cross_entropy: label smoothing ",
        options.label_smoothing, " must be at least 0 and below 1");
  std::string name = "cross_entropy";
  if (options.label_smoothing > 0) name += text_of(", label_smoothing ", options.label_smoothing);
  if (options.class_weights.defined()) {
    name += ", class_weights";
    for (const double weight : options.class_weights.to(DType::f64).to_vector<double>()) {
      check(std::isfinite(weight) && weight >= 0, "cross_entropy: class weight ", weight,
            " must be finite and not negative");
      name += text_of(" ", weight);
    }
  }
  const auto per_sample = [options](const Tensor& logits, const Tensor& target) {
    return cross_entropy_per_sample(logits, target, options);
  };
  return {name, per_sample, options.reduction};
}

}  // namespace mixgrad::nn
