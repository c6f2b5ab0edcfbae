// On the GPU a layer norm is made of operations that exist; on the CPU it is one pass over each row, in which the row
// stays in the first cache:
//
//   z = (x - mean) r,   r = 1 / sqrt(variance + eps),   y = z w + b
//
// Backwards, with g = dy w and means over the row:
//
//   dx = r (g - mean(g) - z mean(g z)),   dw = sum over rows of dy z,   db = sum over rows of dy
#include "nn/layer_norm.h"

#include <cmath>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/rows.h"

namespace mixgrad::kernels {
namespace {

std::int64_t rows_at_once(std::int64_t features) { return rows_per_range(features, std::int64_t{1} << 13); }

// y, and each row's mean and r side by side, [rows, 2].
template <class T>
void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps, const Tensor& y,
                const Tensor& moments) {
  const std::int64_t n = x.size(-1);
  const T *px = x.data<T>(), *w = weight.data<T>(), *b = bias.data<T>();
  T *py = y.mutable_data<T>(), *pm = moments.mutable_data<T>();
  parallel_for(moments.size(0), rows_at_once(n), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const T* from = px + row * n;
      const auto count_of = static_cast<double>(n);
      const auto [sum] =
          sums_of_row<T>(n, [=](std::int64_t i, std::int64_t count) { return Terms{load_row(from + i, count)}; });
      const T mean = static_cast<T>(sum / count_of);
      const auto [squares] = sums_of_row<T>(n, [=](std::int64_t i, std::int64_t count) {
        const auto centred = load_row(from + i, count, mean) - mean;
        return Terms{centred * centred};
      });
      const T r = static_cast<T>(1 / std::sqrt(squares / count_of + eps));
      for_each_lanes<T>(n, [&](std::int64_t i, std::int64_t count) {
        const auto z = (load_row(from + i, count) - mean) * r;
        store_row(py + row * n + i, z * load_row(w + i, count) + load_row(b + i, count), count);
      });
      pm[2 * row] = mean;
      pm[2 * row + 1] = r;
    }
  });
}

// Each range of rows sums its own dw and db: a few rows in T, and those in f64 (core/sums.h).
template <class T>
void layer_norm_backward(const Tensor& x, const Tensor& weight, const Tensor& moments, const Tensor& dy,
                         const Tensor& dx, const Tensor& dw, const Tensor& db) {
  const std::int64_t n = x.size(-1), rows = moments.size(0);
  const std::int64_t grain = std::max(rows_at_once(n), num_ranges(rows, 64)), ranges = num_ranges(rows, grain);
  const T *px = x.data<T>(), *w = weight.data<T>(), *pm = moments.data<T>(), *pdy = dy.data<T>();
  T *pdx = dx.mutable_data<T>(), *pdw = dw.mutable_data<T>(), *pdb = db.mutable_data<T>();
  const Scratch<double> totals(ranges * 2 * n);
  double* const all = totals.data();
  parallel_ranges(rows, grain, [=](std::int64_t range, std::int64_t begin, std::int64_t end) {
    double* const total = all + range * 2 * n;
    std::fill_n(total, 2 * n, 0.0);
    std::vector<T> block(static_cast<std::size_t>(2 * n));
    T *const bw = block.data(), *const bb = bw + n;
    for (std::int64_t row = begin; row < end; ++row) {
      const T *x = px + row * n, *dy = pdy + row * n, mean = pm[2 * row], r = pm[2 * row + 1];
      const auto [gradients, products] = sums_of_row<T>(n, [=](std::int64_t i, std::int64_t count) {
        const auto d = load_row(dy + i, count), z = (load_row(x + i, count, mean) - mean) * r;
        const auto g = d * load_row(w + i, count);
        store_row(bw + i, load_row(bw + i, count) + d * z, count);
        store_row(bb + i, load_row(bb + i, count) + d, count);
        return Terms{g, g * z};
      });
      const auto count_of = static_cast<double>(n);
      const T g_mean = static_cast<T>(gradients / count_of), gz = static_cast<T>(products / count_of);
      for_each_lanes<T>(n, [&](std::int64_t i, std::int64_t count) {
        const auto z = (load_row(x + i, count) - mean) * r, g = load_row(dy + i, count) * load_row(w + i, count);
        store_row(pdx + row * n + i, r * (g - g_mean - z * gz), count);
      });
      if ((row + 1 - begin) % sum_block == 0 || row + 1 == end)
        for (std::int64_t i = 0; i < 2 * n; ++i)
          total[i] += static_cast<double>(std::exchange(block[static_cast<std::size_t>(i)], T{0}));
    }
  });
  for (std::int64_t range = 1; range < ranges; ++range)
    for (std::int64_t i = 0; i < 2 * n; ++i) all[i] += all[range * 2 * n + i];
  std::copy_n(all, n, pdw);
  std::copy_n(all + n, n, pdb);
}

}  // namespace
}  // namespace mixgrad::kernels

namespace mixgrad::nn {
namespace {

Tensor composed(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  const Tensor centred = x - mean(x, -1, {.keepdim = true});
  const Tensor variance = mean(centred * centred, -1, {.keepdim = true});
  return centred / sqrt(variance + eps) * weight + bias;
}

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check(x.rank() >= 1 && weight.rank() == 1 && x.size(-1) == weight.numel() && bias.shape() == weight.shape(),
        "LayerNorm: input ", x.shape(), " must end in ", weight.numel());
  if (x.device() != cpu || x.numel() == 0) return composed(x, weight, bias, eps);
  check(weight.dtype() == x.dtype() && bias.dtype() == x.dtype(), "LayerNorm: input ", name_of(x.dtype()), x.shape(),
        " with weight ", name_of(weight.dtype()), " and bias ", name_of(bias.dtype()));
  check_same_device("LayerNorm", x.device(), weight.device());
  check_same_device("LayerNorm", x.device(), bias.device());
  Tensor y = Tensor::empty(x.shape(), x.options());
  const Tensor moments = Tensor::empty({x.numel() / x.size(-1), 2}, x.options());
  dispatch_cpu("layer_norm", x.device(), [&](Cpu) {
    with_floating("layer_norm", x.dtype(),
                  [&]<class T>(T) { kernels::layer_norm<T>(x, weight, bias, eps, y, moments); });
  });
  record(y, "layer_norm", {x, weight, bias},
         [x = Saved(x), weight = Saved(weight), moments](const Tensor& grad, Gradients& to) {
           Tensor dx = Tensor::empty(x->shape(), grad.options());
           Tensor dw = Tensor::empty(weight->shape(), grad.options()), db = Tensor::empty(dw.shape(), dw.options());
           dispatch_cpu("layer_norm_backward", grad.device(), [&](Cpu) {
             with_floating("layer_norm", grad.dtype(), [&]<class T>(T) {
               kernels::layer_norm_backward<T>(*x, *weight, moments, grad, dx, dw, db);
             });
           });
           to.add(0, std::move(dx));
           to.add(1, std::move(dw));
           to.add(2, std::move(db));
         });
  return y;
}

LayerNorm::LayerNorm(std::int64_t features, double eps)
    : weight(parameter(Tensor::ones({features}))), bias(parameter(Tensor::zeros({features}))), eps_(eps) {
  check(features > 0, "LayerNorm: needs a positive number of features, got ", features);
}

}  // namespace mixgrad::nn
