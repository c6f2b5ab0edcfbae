#include "core/log_softmax.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/sums.h"
#include "core/unary.h"

namespace mixgrad {

Tensor log_softmax(const Tensor& x) {
  check(x.rank() >= 1 && x.size(-1) > 0, "log_softmax: needs a non-empty last axis, got ", x.shape());
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch("log_softmax", x.device(), [&](auto device) { kernels::log_softmax(device, x, out); });
  record(out, "log_softmax", {x}, [y = Saved(out)](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(grad.shape(), grad.options());
    dispatch("log_softmax_backward", grad.device(),
             [&](auto device) { kernels::log_softmax_backward(device, *y, grad, dx); });
    to.add(0, dx);
  });
  return out;
}

Tensor softmax(const Tensor& x) { return exp(log_softmax(x)); }

namespace kernels {
namespace {
constexpr std::int64_t softmax_grain = std::int64_t{1} << 12;  // elements per range
}

void log_softmax(Cpu, const Tensor& x, Out out) {
  with_floating("log_softmax", x.dtype(), [&]<class T>(T) {
    const std::int64_t n = x.size(-1);
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    parallel_for(x.numel() / n, rows_per_range(n, softmax_grain), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* from = px + row * n;
        T* to = po + row * n;
        const T largest = *std::max_element(from, from + n);
        double total = 0;
        for (std::int64_t i = 0; i < n; ++i) total += static_cast<double>(std::exp(from[i] - largest));
        const T log_total = std::log(static_cast<T>(total));
        for (std::int64_t i = 0; i < n; ++i) to[i] = log_softmax_of(from[i], largest, log_total);
      }
    });
  });
}

void log_softmax_backward(Cpu, const Tensor& y, const Tensor& dy, Out dx) {
  with_floating("log_softmax", dx.dtype(), [&]<class T>(T) {
    const std::int64_t n = dx.size(-1);
    const T* py = y.data<T>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    parallel_for(dx.numel() / n, rows_per_range(n, softmax_grain), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T total = static_cast<T>(sum_of(pdy + row * n, n));
        for (std::int64_t i = row * n; i < (row + 1) * n; ++i) pdx[i] = log_softmax_gradient(py[i], pdy[i], total);
      }
    });
  });
}

}  // namespace kernels
}  // namespace mixgrad
