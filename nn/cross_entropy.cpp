#include "nn/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/autograd.h"
#include "core/index.h"
#include "core/log_softmax.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/rows.h"
#include "core/vector_math.h"
#include "core/view.h"

namespace mixgrad::nn {
namespace {

// Checks the logits; the class weights in their dtype and on their device, or undefined.
Tensor class_weights_for(const Tensor& logits, const CrossEntropyOptions& options) {
  check(logits.rank() == 2, "cross_entropy: logits ", logits.shape(), " must be [N, C]");
  const Tensor& weights = options.class_weights;
  if (!weights.defined()) return {};
  check(weights.shape() == Shape{logits.size(1)}, "cross_entropy: class weights ", weights.shape(), " for logits ",
        logits.shape());
  return weights.to(logits.dtype()).to(logits.device());
}

bool are_indices(const Tensor& target, const Tensor& logits) {
  return target.shape() == Shape{logits.size(0)} && target.dtype() == DType::i32;
}

// Of class indices; without a lambda, of the first alone.
Tensor of_indices(const Tensor& logits, const Tensor& y, const Tensor& partner, const Tensor& lambda,
                  const Tensor& class_weights, const CrossEntropyOptions& options) {
  check(logits.size(1) > 0, "cross_entropy: logits ", logits.shape(), " have no classes");
  const Tensor loss = Tensor::empty({logits.size(0)}, logits.options());
  const bool differentiate = grad_enabled() && logits.requires_grad();
  const Tensor dlogits = differentiate ? Tensor::empty(logits.shape(), logits.options()) : Tensor();
  dispatch("cross_entropy", logits.device(), [&](auto device) {
    kernels::cross_entropy(device, logits,
                           {y, partner, lambda, class_weights, options.label_smoothing, options.ignore_index}, loss,
                           dlogits);
  });
  record(loss, "cross_entropy", {logits}, [dlogits](const Tensor& grad, Gradients& to) {
    to.add(0, reshape(grad, {grad.numel(), 1}) * dlogits);
  });
  return loss;
}

}  // namespace

Tensor cross_entropy_per_sample(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options) {
  const Tensor weights = class_weights_for(logits, options);
  const double smoothing = options.label_smoothing;
  check_same_device("cross_entropy", logits.device(), target.device());
  if (are_indices(target, logits)) return of_indices(logits, target, target, {}, weights, options);
  check(target.shape() == logits.shape() && target.dtype() == logits.dtype(), "cross_entropy: for logits ",
        name_of(logits.dtype()), logits.shape(), " the target must be i32 [N] or of the logits' dtype and shape, got ",
        name_of(target.dtype()), target.shape());
  Tensor q = target;
  if (smoothing > 0) q = (1 - smoothing) * q + smoothing / static_cast<double>(logits.size(1));
  if (weights.defined()) q = q * weights;
  return -sum(weighted(q, log_softmax(logits)), 1);
}

Tensor cross_entropy_mixed(const Tensor& logits, const Tensor& y, const Tensor& partner, const Tensor& lambda,
                           const CrossEntropyOptions& options) {
  const Tensor weights = class_weights_for(logits, options);
  for (const Tensor& target : {y, partner}) {
    check_same_device("cross_entropy", logits.device(), target.device());
    check(are_indices(target, logits), "cross_entropy: for logits ", name_of(logits.dtype()), logits.shape(),
          " each target must be i32 [N], got ", name_of(target.dtype()), target.shape());
  }
  check_same_device("cross_entropy", logits.device(), lambda.device());
  check(lambda.dtype() == logits.dtype() && (lambda.shape() == Shape{} || lambda.shape() == Shape{logits.size(0)}),
        "cross_entropy: for logits ", name_of(logits.dtype()), logits.shape(),
        " lambda must be [N] or [] of the same dtype, got ", name_of(lambda.dtype()), lambda.shape());
  return of_indices(logits, y, partner, lambda, weights, options);
}

Loss cross_entropy_with(const CrossEntropyOptions& options) {
  check(options.label_smoothing >= 0 && options.label_smoothing < 1, "cross_entropy: label smoothing ",
        options.label_smoothing, " must be at least 0 and below 1");
  std::string name = "cross_entropy";
  if (options.label_smoothing > 0) name += text_of(", label_smoothing ", options.label_smoothing);
  if (options.ignore_index) name += text_of(", ignore_index ", *options.ignore_index);
  if (options.class_weights.defined()) {
    name += ", class_weights";
    for (const double weight : options.class_weights.to(cpu).to(DType::f64).to_vector<double>()) {
      check(std::isfinite(weight) && weight >= 0, "cross_entropy: class weight ", weight,
            " must be finite and not negative");
      name += text_of(" ", weight);
    }
  }
  const auto per_sample = [options](const Tensor& logits, const Tensor& target) {
    return cross_entropy_per_sample(logits, target, options);
  };
  const auto mixed = [options](const Tensor& logits, const Tensor& y, const Tensor& partner, const Tensor& lambda) {
    return cross_entropy_mixed(logits, y, partner, lambda, options);
  };
  return {name, PerSample(per_sample, mixed), options.reduction};
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {

void cross_entropy(Cpu device, const Tensor& logits, const CrossEntropyTarget& target, Out loss, Out dlogits) {
  for (const Tensor* labels : {&target.y, &target.partner}) {
    if (!target.ignored) check_indices(device, "cross_entropy", *labels, logits.size(1));
    for (std::int64_t n = 0; target.ignored && n < labels->numel(); ++n)
      if (const std::int32_t label = labels->data<std::int32_t>()[n]; label != *target.ignored)
        check(label >= 0 && label < logits.size(1), "cross_entropy: index ", label, " at position ", n,
              " is outside 0..", logits.size(1) - 1);
  }
  with_floating("cross_entropy", logits.dtype(), [&]<class T>(T) {
    const std::int64_t classes = logits.size(1);
    const T* z = logits.data<T>();
    const CrossEntropyRows<T> rows(target, classes, cpu);
    T* pl = loss.mutable_data<T>();
    T* pd = dlogits.defined() ? dlogits.mutable_data<T>() : nullptr;
    constexpr std::int64_t grain = std::int64_t{1} << 12;  // elements per range
    parallel_for(logits.size(0), rows_per_range(classes, grain), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        const T *const row = z + n * classes, largest = largest_of(row, classes);
        const CrossEntropyWeights<T> weights = rows[n];
        const auto z_at = [=](std::int64_t c, std::int64_t count) {
          return load_row(row + c, count, -std::numeric_limits<T>::infinity()) - largest;
        };
        // Of every class, q has a share of the smoothing, and of the one or two targets a label.
        const auto share_at = [=](std::int64_t c, std::int64_t count) {
          return weights.class_weights ? load_row(weights.class_weights + c, count) * weights.spread
                                       : first_lanes(count, Lanes<T>{} + weights.spread);
        };
        const auto for_each_target = [=](auto f) {
          f(weights.y, weights.weight(weights.y) * weights.kept * weights.label(weights.y));
          if (const auto c = weights.partner; c != weights.y) f(c, weights.weight(c) * weights.kept * weights.label(c));
        };
        const auto [powers] = sums_of_row<T>(classes, [=](std::int64_t c, std::int64_t count) {
          return Terms{functions::Math<Lanes<T>>::exp(z_at(c, count))};
        });
        const T log_total = std::log(static_cast<T>(powers));
        double sum_q = 0, value = 0;
        for_each_target([&](std::int32_t c, T q) {
          sum_q += static_cast<double>(q);
          if (q != 0) value += static_cast<double>(weights.term(q, row[c] - largest, log_total));
        });
        if (weights.spread != 0) {
          const auto [shares, terms] = sums_of_row<T>(classes, [=](std::int64_t c, std::int64_t count) {
            const Lanes<T> nothing{}, q = share_at(c, count);
            return Terms{q, q == T{0} ? nothing : weights.term(q, z_at(c, count), log_total)};
          });
          sum_q += shares, value += terms;
        }
        pl[n] = static_cast<T>(value);
        if (!pd) continue;
        T* const gradient = pd + n * classes;
        for_each_lanes<T>(classes, [=, sum_q = static_cast<T>(sum_q)](std::int64_t c, std::int64_t count) {
          store_row(gradient + c, weights.gradient(share_at(c, count), z_at(c, count), log_total, sum_q), count);
        });
        for_each_target([=](std::int32_t c, T q) { gradient[c] -= q; });
      }
    });
  });
}

}  // namespace mixgrad::kernels
