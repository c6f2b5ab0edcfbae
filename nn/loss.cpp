#include "nn/loss.h"

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/rows.h"
#include "core/vector_math.h"

namespace mixgrad::nn {
namespace {

Tensor element_loss(const char* name, const kernels::ElementLoss& l, const Tensor& output, const Tensor& target) {
  check(output.rank() >= 1 && output.shape() == target.shape() && output.dtype() == target.dtype(), name,
        ": output is ", name_of(output.dtype()), output.shape(), ", target ", name_of(target.dtype()), target.shape());
  check_same_device(name, output.device(), target.device());
  check(is_floating(output.dtype()), name, ": needs f32 or f64, not ", name_of(output.dtype()));
  check(output.shape().product(1, output.rank()) > 0, name, ": samples of ", output.shape(), " are empty");
  Tensor loss = Tensor::empty({output.size(0)}, output.options());
  dispatch(name, output.device(), [&](auto device) { kernels::element_loss(device, l, output, target, loss); });
  record(
      loss, name, {output, target}, [name, l, x = Saved(output), t = Saved(target)](const Tensor& grad, Gradients& to) {
        for (const bool in_target : {false, true}) {
          if (!to.needs(in_target)) continue;
          Tensor gradient = Tensor::empty(x->shape(), grad.options());
          dispatch(name, grad.device(),
                   [&](auto device) { kernels::element_loss_backward(device, l, in_target, *x, *t, grad, gradient); });
          to.add(in_target, std::move(gradient));
        }
      });
  return loss;
}

}  // namespace

Tensor reduce(const Tensor& per_sample, Reduction reduction) {
  if (reduction == Reduction::none) return per_sample;
  return reduction == Reduction::mean ? mean(per_sample) : sum(per_sample);
}

Tensor Loss::each_sample(const Tensor& output, const Tensor& target) const {
  Tensor result = per_sample(output, target);
  check(result.shape() == Shape{output.size(0)}, name, ": per_sample gave ", result.shape(), " for output ",
        output.shape(), ", not one number for each sample");
  return result;
}

Tensor mse_per_sample(const Tensor& output, const Tensor& target) {
  return element_loss("mse", kernels::SquaredError{}, output, target);
}
Tensor l1_per_sample(const Tensor& output, const Tensor& target) {
  return element_loss("l1", kernels::AbsoluteError{}, output, target);
}
Tensor bce_with_logits_per_sample(const Tensor& logits, const Tensor& target) {
  return element_loss("bce_with_logits", kernels::BinaryCrossEntropy{}, logits, target);
}

}  // namespace mixgrad::nn

namespace mixgrad::kernels {
namespace {

// Calls f(n, x, t) for each sample n, whose elements begin at x and t; in parallel.
template <class T, class F>
void for_each_sample(const Tensor& x, const Tensor& t, std::int64_t elements, F f) {
  parallel_for(x.size(0), rows_per_range(elements, std::int64_t{1} << 13),
               [=, px = x.data<T>(), pt = t.data<T>()](std::int64_t begin, std::int64_t end) {
                 for (std::int64_t n = begin; n < end; ++n) f(n, px + n * elements, pt + n * elements);
               });
}

}  // namespace

void element_loss(Cpu, const ElementLoss& l, const Tensor& x, const Tensor& t, Out loss) {
  with_floating("loss", x.dtype(), [&]<class T>(T) {
    const std::int64_t elements = x.shape().product(1, x.rank());
    T* const to = loss.mutable_data<T>();
    std::visit(
        [&](auto l) {
          for_each_sample<T>(x, t, elements, [=](std::int64_t n, const T* x, const T* t) {
            const auto [sum] = sums_of_row<T>(elements, [=](std::int64_t i, std::int64_t count) {
              return Terms{first_lanes(count, l(load_row(x + i, count), load_row(t + i, count)))};
            });
            to[n] = static_cast<T>(sum / static_cast<double>(elements));
          });
        },
        l);
  });
}

void element_loss_backward(Cpu, const ElementLoss& l, bool in_target, const Tensor& x, const Tensor& t,
                           const Tensor& dloss, Out gradient) {
  with_floating("loss", x.dtype(), [&]<class T>(T) {
    const std::int64_t elements = x.shape().product(1, x.rank());
    const T* const from = dloss.data<T>();
    T* const to = gradient.mutable_data<T>();
    std::visit(
        [&](auto l) {
          with_constant(in_target, [&](auto in_target) {
            for_each_sample<T>(x, t, elements, [=](std::int64_t n, const T* x, const T* t) {
              const T factor = from[n] / static_cast<T>(elements);
              for_each_lanes<T>(elements, [=](std::int64_t i, std::int64_t count) {
                const auto a = load_row(x + i, count), b = load_row(t + i, count);
                store_row(to + n * elements + i, factor * derivative<in_target.value>(l, a, b), count);
              });
            });
          });
        },
        l);
  });
}

}  // namespace mixgrad::kernels
