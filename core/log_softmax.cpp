#include "core/log_softmax.h"

#include <cmath>
#include <limits>
#include <utility>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/rows.h"
#include "core/vector_math.h"

namespace mixgrad {
namespace {

template <kernels::Softmax which>
Tensor softmax_as(const char* name, const char* backward, const Tensor& x) {
  check(is_floating(x.dtype()), name, ": needs f32 or f64, not ", name_of(x.dtype()));
  check(x.rank() >= 1 && x.size(-1) > 0, name, ": needs a non-empty last axis, got ", x.shape());
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch(name, x.device(), [&](auto device) { kernels::softmax(device, which, x, out); });
  record(out, name, {x}, [backward, y = Saved(out)](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(grad.shape(), grad.options());
    dispatch(backward, grad.device(), [&](auto device) { kernels::softmax_backward(device, which, *y, grad, dx); });
    to.add(0, std::move(dx));
  });
  return out;
}

}  // namespace

Tensor log_softmax(const Tensor& x) {
  return softmax_as<kernels::Softmax::log>("log_softmax", "log_softmax_backward", x);
}
Tensor softmax(const Tensor& x) { return softmax_as<kernels::Softmax::plain>("softmax", "softmax_backward", x); }

namespace kernels {
namespace {

constexpr std::int64_t softmax_grain = std::int64_t{1} << 12;  // elements per range

// Calls f(first) for the first element of each row of x, in parallel.
template <class F>
void for_each_row(const Tensor& x, F f) {
  const std::int64_t n = x.size(-1);
  parallel_for(x.numel() / n, rows_per_range(n, softmax_grain), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) f(row * n);
  });
}

}  // namespace

void softmax(Cpu, Softmax which, const Tensor& x, Out out) {
  with_floating("softmax", x.dtype(), [&]<class T>(T) {
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    for_each_row(x, [=, n = x.size(-1)](std::int64_t first) {
      const T *const from = px + first, largest = largest_of(from, n);
      T* const to = po + first;
      const auto [sum] = sums_of_row<T>(n, [=](std::int64_t i, std::int64_t count) {
        constexpr T nothing = -std::numeric_limits<T>::infinity();
        const auto power = functions::Math<Lanes<T>>::exp(load_row(from + i, count, nothing) - largest);
        if (which == Softmax::plain) store_row(to + i, power, count);
        return Terms{power};
      });
      const T total = static_cast<T>(sum), factor = 1 / total, log_total = std::log(total);
      for_each_lanes<T>(n, [&](std::int64_t i, std::int64_t count) {
        if (which == Softmax::plain) store_row(to + i, load_row(to + i, count) * factor, count);
        else store_row(to + i, load_row(from + i, count) - largest - log_total, count);
      });
    });
  });
}

void softmax_backward(Cpu, Softmax which, const Tensor& y, const Tensor& dy, Out dx) {
  with_floating("softmax", dx.dtype(), [&]<class T>(T) {
    const T *py = y.data<T>(), *pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    for_each_row(y, [=, n = y.size(-1)](std::int64_t first) {
      const auto at = [=](const T* p, std::int64_t i, std::int64_t count) { return load_row(p + first + i, count); };
      const auto [total] = sums_of_row<T>(n, [=](std::int64_t i, std::int64_t count) {
        return Terms{softmax_term(which, at(py, i, count), at(pdy, i, count))};
      });
      const T sum = static_cast<T>(total);
      for_each_lanes<T>(n, [&](std::int64_t i, std::int64_t count) {
        store_row(pdx + first + i, softmax_gradient(which, at(py, i, count), at(pdy, i, count), sum), count);
      });
    });
  });
}

}  // namespace kernels
}  // namespace mixgrad
