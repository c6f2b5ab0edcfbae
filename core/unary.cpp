#include "core/unary.h"

#include <concepts>
#include <utility>

#include "core/autograd.h"
#include "core/broadcast.h"
#include "core/elementwise.h"
#include "core/parallel.h"
#include "core/simd.h"
#include "core/vector_math.h"

namespace mixgrad {
namespace {

template <class F>
Tensor unary(const F& f, const Tensor& x) {
  static const std::string backward = std::string(F::name) + "_backward";  // its name in a Profile
  check(is_floating(x.dtype()), F::name, ": needs f32 or f64, not ", name_of(x.dtype()));
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch(F::name, x.device(), [&](auto device) { kernels::unary(device, f, x, out); });
  record(out, F::name, {x}, [f, saved = Saved(functions::saves_input<F> ? x : out)](const Tensor& dy, Gradients& to) {
    Tensor dx = Tensor::empty(dy.shape(), dy.options());
    dispatch(backward.c_str(), dy.device(), [&](auto device) { kernels::unary_backward(device, f, *saved, dy, dx); });
    to.add(0, std::move(dx));
  });
  return out;
}

}  // namespace

Tensor neg(const Tensor& x) { return unary(functions::Neg{}, x); }
Tensor abs(const Tensor& x) { return unary(functions::Abs{}, x); }
Tensor sqrt(const Tensor& x) { return unary(functions::Sqrt{}, x); }
Tensor exp(const Tensor& x) { return unary(functions::Exp{}, x); }
Tensor log(const Tensor& x) { return unary(functions::Log{}, x); }
Tensor pow(const Tensor& x, double exponent) {
  if (exponent == 2) return unary(functions::Power<2>{}, x);
  if (exponent == 3) return unary(functions::Power<3>{}, x);
  return exponent == 0.5 ? sqrt(x) : unary(functions::Pow{exponent}, x);
}
Tensor relu(const Tensor& x) { return unary(functions::Relu{}, x); }
Tensor leaky_relu(const Tensor& x, double slope) { return unary(functions::LeakyRelu{slope}, x); }
Tensor tanh(const Tensor& x) { return unary(functions::Tanh{}, x); }
Tensor sigmoid(const Tensor& x) { return unary(functions::Sigmoid{}, x); }
Tensor softplus(const Tensor& x) { return unary(functions::Softplus{}, x); }
Tensor silu(const Tensor& x) { return unary(functions::Silu{}, x); }
Tensor gelu(const Tensor& x) { return unary(functions::Gelu{}, x); }

Tensor clamp(const Tensor& x, double low, double high) {
  check(low <= high, "clamp: needs low <= high, got ", low, " and ", high);
  return unary(functions::Clamp{low, high}, x);
}

namespace kernels {
namespace {

// out[i] = f(in[i]...) by a function of vectors: the last few elements go through it as well, so that an element's
// result does not depend on its place.
template <class F, class... In>
void map_vectors(std::int64_t n, F f, float* out, const In*... in) {
  parallel_for(n, pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + lanes <= end; i += lanes) store(out + i, f(load(in + i)...));
    if (i < end) store(out + i, f(load(in + i, end - i)...), end - i);
  });
}

// The same for any T.
template <class G, class T, class F>
void map_as(std::int64_t n, const F& f, T* out, const std::same_as<T> auto*... in) {
  if constexpr (functions::calls_math<G> && std::is_same_v<T, float>) map_vectors(n, f, out, in...);
  else map(n, f, out, in...);
}

}  // namespace

void unary(Cpu, const functions::Unary& f, const Tensor& x, Out out) {
  with_floating("unary", out.dtype(), [&]<class T>(T) {
    std::visit([&]<class F>(F g) { map_as<F>(out.numel(), g, out.mutable_data<T>(), x.data<T>()); }, f);
  });
}

void unary_backward(Cpu, const functions::Unary& f, const Tensor& saved, const Tensor& dy, Out dx) {
  with_floating("unary", dx.dtype(), [&]<class T>(T) {
    std::visit(
        [&]<class F>(F g) {
          map_as<F>(dx.numel(), functions::Backward<F>{g}, dx.mutable_data<T>(), saved.data<T>(), dy.data<T>());
        },
        f);
  });
}

}  // namespace kernels
}  // namespace mixgrad
