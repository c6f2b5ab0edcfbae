#include "core/reduce.h"

#include <algorithm>
#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/view.h"

namespace mixgrad {
namespace {

// A tensor seen as [outer, n, inner], where n is the reduced axis.
struct Split {
  Split(const char* op, const Tensor& x, int axis, ReduceOptions options)
      : axis(x.shape().axis(axis, op)),
        shape{x.shape().product(0, this->axis), x.size(this->axis), x.shape().product(this->axis + 1, x.rank())},
        kept{x.shape().with(this->axis, 1)},
        out(options.keepdim ? kept : x.shape().without(this->axis)) {}
  void require_elements(const char* op, const Tensor& x) const {
    check(shape[1] > 0, op, ": axis ", axis, " of ", x.shape(), " is empty");
  }
  Shape rows() const { return {shape[0], shape[2]}; }

  int axis;
  Shape shape;  // [outer, n, inner]
  Shape kept;   // x's shape with extent 1 at the axis
  Shape out;
};

Tensor scaled_sum(const char* op, const Tensor& x, const Split& split, double scale) {
  check(is_floating(x.dtype()), op, ": needs f32 or f64, not ", name_of(x.dtype()));
  Tensor out = Tensor::empty(split.out, x.options());
  dispatch(x.device(), [&](auto device) {
    kernels::sum(device, x.raw_view(split.shape, 0), out.raw_view(split.rows(), 0), scale);
  });
  record(out, op, {x}, [shape = x.shape(), kept = split.kept, scale](const Tensor& grad, Gradients& to) {
    to.add(0, Tensor::full(shape, scale, grad.options()) * grad.raw_view(kept, 0));
  });
  return out;
}

Tensor take_argmax(const Tensor& x, const Split& split) {
  Tensor index = Tensor::empty(split.out, {.dtype = DType::i32, .device = x.device()});
  dispatch(x.device(),
           [&](auto device) { kernels::argmax(device, x.raw_view(split.shape, 0), index.raw_view(split.rows(), 0)); });
  return index;
}

}  // namespace

Tensor sum(const Tensor& x, int axis, ReduceOptions options) {
  return scaled_sum("sum", x, Split("sum", x, axis, options), 1.0);
}

Tensor mean(const Tensor& x, int axis, ReduceOptions options) {
  const Split split("mean", x, axis, options);
  split.require_elements("mean", x);
  return scaled_sum("mean", x, split, 1.0 / static_cast<double>(split.shape[1]));
}

Tensor argmax(const Tensor& x, int axis, ReduceOptions options) {
  const Split split("argmax", x, axis, options);
  split.require_elements("argmax", x);
  return take_argmax(x, split);
}

Tensor max(const Tensor& x, int axis, ReduceOptions options) {
  const Split split("max", x, axis, options);
  split.require_elements("max", x);
  const Tensor index = take_argmax(x, split);
  Tensor out = Tensor::empty(split.out, x.options());
  const auto rows = split.rows();
  dispatch(x.device(), [&](auto device) {
    kernels::take(device, x.raw_view(split.shape, 0), index.raw_view(rows, 0), out.raw_view(rows, 0));
  });
  record(out, "max", {x}, [index, shape = x.shape(), split = split.shape, rows](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(shape, grad.options());
    dispatch(grad.device(), [&](auto device) {
      kernels::take_backward(device, index.raw_view(rows, 0), grad.raw_view(rows, 0), dx.raw_view(split, 0));
    });
    to.add(0, dx);
  });
  return out;
}

Tensor sum(const Tensor& x) { return sum(reshape(x, {x.numel()}), 0); }
Tensor mean(const Tensor& x) { return mean(reshape(x, {x.numel()}), 0); }
Tensor max(const Tensor& x) { return max(reshape(x, {x.numel()}), 0); }

namespace kernels {
namespace {

constexpr std::int64_t reduce_grain = std::int64_t{1} << 14;  // elements read per range

template <class T>
T sum_contiguous(const T* x, std::int64_t n) {
  T total = 0;
#pragma omp simd reduction(+ : total)
  for (std::int64_t i = 0; i < n; ++i) total += x[i];
  return total;
}

// out[inner] = sum of `rows` rows of x
template <class T>
void sum_rows(const T* x, std::int64_t rows, std::int64_t inner, T* out) {
  std::fill(out, out + inner, T{0});
  for (std::int64_t row = 0; row < rows; ++row)
    for (std::int64_t i = 0; i < inner; ++i) out[i] += x[row * inner + i];
}

template <class T>
void sum_block(const T* x, std::int64_t n, std::int64_t inner, T* out) {
  if (inner == 1) *out = sum_contiguous(x, n);
  else sum_rows(x, n, inner, out);
}

}  // namespace

void sum(Cpu, const Tensor& x, const Tensor& out, double scale) {
  with_floating("sum", x.dtype(), [&]<class T>(T) {
    const std::int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    // Each of the `outer` blocks [n, inner] is cut into slabs of rows; the slabs' sums are then added in order.
    const std::int64_t slab = std::max<std::int64_t>(reduce_grain / std::max<std::int64_t>(inner, 1), 1);
    const std::int64_t slabs = std::max<std::int64_t>(num_ranges(n, slab), 1);
    const std::int64_t blocks_per_range =
        std::max<std::int64_t>(reduce_grain / std::max<std::int64_t>(std::min(n, slab) * inner, 1), 1);
    const Tensor partial = slabs == 1 ? out : Tensor::empty({outer * slabs, inner}, out.options());
    T* pp = partial.mutable_data<T>();
    parallel_for(outer * slabs, blocks_per_range, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t first = i % slabs * slab;
        sum_block(px + (i / slabs * n + first) * inner, std::min(slab, n - first), inner, pp + i * inner);
      }
    });
    if (slabs > 1)
      for (std::int64_t o = 0; o < outer; ++o) sum_rows(pp + o * slabs * inner, slabs, inner, po + o * inner);
    if (scale != 1.0)
      for (std::int64_t i = 0; i < out.numel(); ++i) po[i] *= static_cast<T>(scale);
  });
}

void argmax(Cpu, const Tensor& x, const Tensor& out) {
  with_dtype(x.dtype(), [&]<class T>(T) {
    const std::int64_t n = x.size(1), inner = x.size(2);
    const T* px = x.data<T>();
    std::int32_t* po = out.mutable_data<std::int32_t>();
    const auto is_nan = [](T value) { return value != value; };
    parallel_for(out.numel(), std::max<std::int64_t>(reduce_grain / n, 1), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* column = px + i / inner * n * inner + i % inner;
        std::int64_t best = 0;
        for (std::int64_t k = 1; k < n && !is_nan(column[best * inner]); ++k)
          if (column[k * inner] > column[best * inner] || is_nan(column[k * inner])) best = k;
        po[i] = static_cast<std::int32_t>(best);
      }
    });
  });
}

void take(Cpu, const Tensor& x, const Tensor& index, const Tensor& out) {
  with_dtype(x.dtype(), [&]<class T>(T) {
    const std::int64_t n = x.size(1), inner = x.size(2);
    const T* px = x.data<T>();
    const std::int32_t* pi = index.data<std::int32_t>();
    T* po = out.mutable_data<T>();
    for (std::int64_t i = 0; i < out.numel(); ++i) po[i] = px[(i / inner * n + pi[i]) * inner + i % inner];
  });
}

void take_backward(Cpu, const Tensor& index, const Tensor& dy, const Tensor& dx) {
  with_floating("max", dx.dtype(), [&]<class T>(T) {
    const std::int64_t n = dx.size(1), inner = dx.size(2);
    const std::int32_t* pi = index.data<std::int32_t>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    std::fill(pdx, pdx + dx.numel(), T{0});
    for (std::int64_t i = 0; i < dy.numel(); ++i) pdx[(i / inner * n + pi[i]) * inner + i % inner] = pdy[i];
  });
}

}  // namespace kernels
}  // namespace mixgrad
