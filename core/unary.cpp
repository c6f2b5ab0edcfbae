#include "core/unary.h"

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/unary_functions.h"

namespace mixgrad {
namespace {

using functions::Saves;
using functions::with_function;

// What a Profile lists the two kernels under.
struct Names {
  const char *forward, *backward;
};

Tensor unary(const Names& names, const Unary& f, const Tensor& x) {
  check(is_floating(x.dtype()), names.forward, ": needs f32 or f64, not ", name_of(x.dtype()));
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch(names.forward, x.device(), [&](auto device) { kernels::unary(device, f, x, out); });
  const bool saves_input = with_function<float>(f, [](auto g) { return g.saves == Saves::input; });
  record(out, names.forward, {x},
         [f, backward = names.backward, saved = Saved(saves_input ? x : out)](const Tensor& grad, Gradients& to) {
           Tensor dx = Tensor::empty(grad.shape(), grad.options());
           dispatch(backward, grad.device(),
                    [&](auto device) { kernels::unary_backward(device, f, *saved, grad, dx); });
           to.add(0, dx);
         });
  return out;
}

}  // namespace

Tensor neg(const Tensor& x) { return unary({"neg", "neg_backward"}, {Unary::neg}, x); }
Tensor abs(const Tensor& x) { return unary({"abs", "abs_backward"}, {Unary::abs}, x); }
Tensor sqrt(const Tensor& x) { return unary({"sqrt", "sqrt_backward"}, {Unary::sqrt}, x); }
Tensor exp(const Tensor& x) { return unary({"exp", "exp_backward"}, {Unary::exp}, x); }
Tensor log(const Tensor& x) { return unary({"log", "log_backward"}, {Unary::log}, x); }
Tensor pow(const Tensor& x, double exponent) { return unary({"pow", "pow_backward"}, {Unary::pow, exponent}, x); }
Tensor relu(const Tensor& x) { return unary({"relu", "relu_backward"}, {Unary::relu}, x); }
Tensor leaky_relu(const Tensor& x, double slope) {
  return unary({"leaky_relu", "leaky_relu_backward"}, {Unary::leaky_relu, slope}, x);
}
Tensor tanh(const Tensor& x) { return unary({"tanh", "tanh_backward"}, {Unary::tanh}, x); }
Tensor sigmoid(const Tensor& x) { return unary({"sigmoid", "sigmoid_backward"}, {Unary::sigmoid}, x); }
Tensor softplus(const Tensor& x) { return unary({"softplus", "softplus_backward"}, {Unary::softplus}, x); }
Tensor silu(const Tensor& x) { return unary({"silu", "silu_backward"}, {Unary::silu}, x); }
Tensor gelu(const Tensor& x) { return unary({"gelu", "gelu_backward"}, {Unary::gelu}, x); }

Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: from ", low, " to ", high);
  return unary({"clamp", "clamp_backward"}, {Unary::clamp, low, high}, x);
}

namespace kernels {
namespace {
constexpr std::int64_t unary_grain = std::int64_t{1} << 15;  // elements per range
}

void unary(Cpu, const Unary& f, const Tensor& x, const Tensor& out) {
  with_floating("unary", out.dtype(), [&]<class T>(T) {
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    with_function<T>(f, [=, n = out.numel()](auto g) {
      parallel_for(n, unary_grain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) po[i] = g(px[i]);
      });
    });
  });
}

void unary_backward(Cpu, const Unary& f, const Tensor& saved, const Tensor& dy, const Tensor& dx) {
  with_floating("unary", dx.dtype(), [&]<class T>(T) {
    const T* ps = saved.data<T>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    with_function<T>(f, [=, n = dx.numel()](auto g) {
      parallel_for(n, unary_grain, [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) pdx[i] = g.backward(ps[i], pdy[i]);
      });
    });
  });
}

}  // namespace kernels
}  // namespace mixgrad
