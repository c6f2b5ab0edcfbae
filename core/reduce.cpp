#include "core/reduce.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"
#include "core/pointwise.h"
#include "core/rows.h"
#include "core/view.h"

namespace mixgrad {
namespace {

// The steps of a reduction: x [outer, n, inner] -> [outer, inner].

Tensor divided_sum(const char* op, const Tensor& x, double divisor) {
  check(is_floating(x.dtype()), op, ": needs f32 or f64, not ", name_of(x.dtype()));
  Tensor out = Tensor::empty({x.size(0), x.size(2)}, x.options());
  dispatch("sum", x.device(), [&](auto device) { kernels::sum(device, x, divisor, out); });
  record(out, op, {x}, [shape = x.shape(), divisor](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(shape, grad.options());
    dispatch("sum_backward", grad.device(), [&](auto device) { kernels::sum_backward(device, grad, 1 / divisor, dx); });
    to.add(0, std::move(dx));
  });
  return out;
}

template <Extreme which>
Tensor arg_extreme(const char* op, const Tensor& x) {
  check(x.size(1) <= std::numeric_limits<std::int32_t>::max(), op, ": the indices of ", x.size(1),
        " elements do not fit into i32");
  Tensor index = Tensor::empty({x.size(0), x.size(2)}, {.dtype = DType::i32, .device = x.device()});
  dispatch(op, x.device(), [&](auto device) { kernels::arg_extreme(device, which, x, index); });
  return index;
}

template <Extreme which>
Tensor extreme(const char* op, const Tensor& x) {
  const Tensor index = arg_extreme<which>(op, x);
  Tensor out = Tensor::empty(index.shape(), x.options());
  dispatch("take_along_axis", x.device(), [&](auto device) { kernels::take_along_axis(device, x, index, out); });
  record(out, op, {x}, [index, shape = x.shape()](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(shape, grad.options());
    dispatch("take_along_axis_backward", grad.device(),
             [&](auto device) { kernels::take_along_axis_backward(device, index, grad, dx); });
    to.add(0, std::move(dx));
  });
  return out;
}

// Reduces the axes by step(op, x), neighbouring ones together, the last first.
template <class Step>
Tensor reduce(const char* op, const Tensor& x, const Axes& axes, ReduceOptions options, bool may_be_empty, Step step) {
  std::array<bool, Shape::max_rank> reduced{};
  for (const int axis : axes) {
    bool& mark = reduced[static_cast<std::size_t>(x.shape().axis(axis, op))];
    check(!mark, op, ": axis ", axis, " of ", x.shape(), " is given twice");
    check(may_be_empty || x.size(axis) > 0, op, ": axis ", x.shape().axis(axis), " of ", x.shape(), " is empty");
    mark = true;
  }
  const auto is_reduced = [&](int axis) { return reduced[static_cast<std::size_t>(axis)]; };
  Tensor out = x;
  Shape shape = x.shape();  // of the output so far, with extent 1 at each axis that is done
  for (int last = x.rank(); last > 0; --last) {
    if (!is_reduced(last - 1)) continue;
    int first = last - 1;
    while (first > 0 && is_reduced(first - 1)) --first;
    out = step(op, reshape(out, Shape{shape.product(0, first), shape.product(first, last),
                                      shape.product(last, shape.rank())}));
    for (int axis = first; axis < last; ++axis) shape = shape.with(axis, 1);
    last = first + 1;
  }
  for (int axis = x.rank() - 1; axis >= 0 && !options.keepdim; --axis)
    if (is_reduced(axis)) shape = shape.without(axis);
  return shape == out.shape() ? out : reshape(out, shape);
}

Tensor vector_of(const Tensor& x) { return reshape(x, {x.numel()}); }

}  // namespace

Tensor sum(const Tensor& x, const Axes& axes, ReduceOptions options) {
  return reduce("sum", x, axes, options, true, [](const char* op, const Tensor& x) { return divided_sum(op, x, 1.0); });
}

Tensor mean(const Tensor& x, const Axes& axes, ReduceOptions options) {
  return reduce("mean", x, axes, options, false,
                [](const char* op, const Tensor& x) { return divided_sum(op, x, static_cast<double>(x.size(1))); });
}

Tensor max(const Tensor& x, const Axes& axes, ReduceOptions options) {
  return reduce("max", x, axes, options, false, extreme<Extreme::max>);
}

Tensor min(const Tensor& x, const Axes& axes, ReduceOptions options) {
  return reduce("min", x, axes, options, false, extreme<Extreme::min>);
}

Tensor argmax(const Tensor& x, int axis, ReduceOptions options) {
  return no_grad([&] { return reduce("argmax", x, axis, options, false, arg_extreme<Extreme::max>); });
}

Tensor sum(const Tensor& x) { return sum(vector_of(x), 0); }
Tensor mean(const Tensor& x) { return mean(vector_of(x), 0); }
Tensor max(const Tensor& x) { return max(vector_of(x), 0); }
Tensor min(const Tensor& x) { return min(vector_of(x), 0); }

namespace kernels {
namespace {

constexpr std::int64_t reduce_grain = std::int64_t{1} << 14;  // elements read per range

// Of some elements: whether `next` takes the place of `best` where they are compared in order. The first nan stays.
template <class T>
bool replaces(Extreme which, T next, T best) {
  return best == best && beats(which, next, best);
}

// The place of the extreme in `blocks` blocks of sum_block vectors, or -1 if there may be a nan: comparisons pass over
// it, but a sum does not (nor over inf - inf). Each lane keeps its extreme and the number of the block.
std::int64_t place_in_blocks(Extreme which, const float* x, std::int32_t blocks) {
  struct Seen {
    Vector largest, sum;
  };
  const auto both = [](const Seen& a, const Seen& b) {
    return Seen{b.largest > a.largest ? b.largest : a.largest, a.sum + b.sum};
  };
  const float sign = which == Extreme::max ? 1.0f : -1.0f;
  const auto from = [=](std::int32_t block) { return x + std::int64_t{block} * sum_block * lanes; };
  Vector best = Vector{} - std::numeric_limits<float>::infinity(), sum{};
  std::int32_t in_block __attribute__((vector_size(sizeof(Vector)))) = {};
  for (std::int32_t block = 0; block < blocks; ++block) {
    const auto at = [=, x = from(block)](int i) {
      const Vector v = sign * load(x + i * lanes);
      return Seen{v, v};
    };
    const Seen seen = tree_of<sum_block>(at, both);
    in_block = seen.largest > best ? block : in_block;
    best = seen.largest > best ? seen.largest : best;
    sum += seen.sum;
  }
  if (const float total = horizontal_sum(sum); total != total) return -1;
  float extreme = best[0];
  for (int i = 1; i < lanes; ++i) extreme = std::max(extreme, best[i]);
  std::int32_t first = blocks - 1;
  for (int i = 0; i < lanes; ++i) first = best[i] == extreme ? std::min(first, in_block[i]) : first;
  return std::find(from(first), from(blocks), sign * extreme) - x;
}

// The place of the extreme of x[0..n-1], n > 0.
template <class T>
std::int64_t arg_extreme_of(Extreme which, const T* x, std::int64_t n) {
  std::int64_t best = 0, compared = 1;
  if constexpr (std::is_same_v<T, float>) {
    constexpr std::int64_t block = sum_block * lanes;
    if (n >= block) best = place_in_blocks(which, x, static_cast<std::int32_t>(n / block));
    if (n >= block && best >= 0) compared = n / block * block;
    best = std::max<std::int64_t>(best, 0);
  }
  for (std::int64_t i = compared; i < n; ++i)
    if (replaces(which, x[i], x[best])) best = i;
  return best;
}

// out[i] = the row, of those from `begin` to `end` of x [rows, inner], of the extreme of column i.
template <class T>
void arg_extreme_of_rows(Extreme which, const T* x, std::int64_t begin, std::int64_t end, std::int64_t inner,
                         std::int32_t* out) {
  if (inner == 1) {
    *out = static_cast<std::int32_t>(begin + arg_extreme_of(which, x + begin, end - begin));
    return;
  }
  std::vector<T> best(x + begin * inner, x + (begin + 1) * inner);
  std::fill_n(out, inner, static_cast<std::int32_t>(begin));
  for (std::int64_t row = begin + 1; row < end; ++row)
    for (std::int64_t i = 0; i < inner; ++i) {
      const T value = x[row * inner + i];
      const bool takes = replaces(which, value, best[static_cast<std::size_t>(i)]);
      best[static_cast<std::size_t>(i)] = takes ? value : best[static_cast<std::size_t>(i)];
      out[i] = takes ? static_cast<std::int32_t>(row) : out[i];
    }
}

}  // namespace

void sum(Cpu, const Tensor& x, double divisor, Out out) {
  with_floating("sum", x.dtype(), [&]<class T>(T) {
    const std::int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    // Each of the `outer` blocks [n, inner] is cut into slabs of rows, few and tall enough that adding their sums, in
    // order, costs little.
    constexpr std::int64_t most_slabs = 128, least_rows = 16;
    const std::int64_t slab = std::max({rows_per_range(inner, reduce_grain), num_ranges(n, most_slabs), least_rows});
    const std::int64_t slabs = std::max<std::int64_t>(num_ranges(n, slab), 1);
    const std::int64_t slabs_per_range = rows_per_range(std::min(n, slab) * inner, reduce_grain);
    // Not multiplied by 1 / n, which is itself rounded: the mean of three 1000s must be 1000.
    const auto rounded = [=](double total) { return static_cast<T>(divisor == 1 ? total : total / divisor); };
    const Scratch<double> partial(outer * slabs * inner);
    double* pp = partial.data();
    parallel_for(outer * slabs, slabs_per_range, [=](std::int64_t begin, std::int64_t end) {
      std::fill(pp + begin * inner, pp + end * inner, 0.0);
      for (std::int64_t i = begin; i < end; ++i) {
        const std::int64_t first = i % slabs * slab;
        add_rows(px + (i / slabs * n + first) * inner, std::min(slab, n - first), inner, pp + i * inner);
      }
    });
    for (std::int64_t o = 0; o < outer; ++o) {
      double* const total = pp + o * slabs * inner;
      for (std::int64_t row = 1; row < slabs; ++row)
        for (std::int64_t i = 0; i < inner; ++i) total[i] += total[row * inner + i];
      std::transform(total, total + inner, po + o * inner, rounded);
    }
  });
}

void sum_backward(Cpu, const Tensor& dy, double factor, Out dx) {
  with_floating("sum_backward", dx.dtype(), [&]<class T>(T) {
    const std::int64_t n = dx.size(1), inner = dx.size(2);
    const T* from = dy.data<T>();
    T* to = dx.mutable_data<T>();
    const T scale = static_cast<T>(factor);
    parallel_for(dx.size(0) * n, rows_per_range(inner, reduce_grain), [=](std::int64_t begin, std::int64_t end) {
      while (begin < end) {  // the rows of one `outer` are the same
        const std::int64_t outer = begin / n, last = std::min(end, (outer + 1) * n);
        if (inner == 1) std::fill(to + begin, to + last, scale * from[outer]);
        else
          for (std::int64_t row = begin; row < last; ++row)
            for (std::int64_t i = 0; i < inner; ++i) to[row * inner + i] = scale * from[outer * inner + i];
        begin = last;
      }
    });
  });
}

void arg_extreme(Cpu, Extreme which, const Tensor& x, Out out) {
  with_dtype(x.dtype(), [&]<class T>(T) {
    const std::int64_t outer = x.size(0), n = x.size(1), inner = x.size(2);
    const T* px = x.data<T>();
    std::int32_t* po = out.mutable_data<std::int32_t>();
    // Each of the `outer` blocks [n, inner] is cut into slabs of rows, whose results are then compared in order.
    constexpr std::int64_t most_slabs = 128, least_rows = 16;
    const std::int64_t slab = std::max({rows_per_range(inner, reduce_grain), num_ranges(n, most_slabs), least_rows});
    const std::int64_t slabs = num_ranges(n, slab);
    const Scratch<std::int32_t> partial(outer * slabs * inner);
    std::int32_t* pp = partial.data();
    parallel_for(outer * slabs, rows_per_range(std::min(n, slab) * inner, reduce_grain),
                 [=](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) {
                     const std::int64_t first = i % slabs * slab;
                     arg_extreme_of_rows(which, px + i / slabs * n * inner, first, std::min(first + slab, n), inner,
                                         pp + i * inner);
                   }
                 });
    parallel_for(outer * inner, rows_per_range(slabs, reduce_grain), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t at = begin; at < end; ++at) {
        const std::int64_t o = at / inner, i = at % inner;
        const auto value = [=](std::int64_t k) { return px[(o * n + k) * inner + i]; };
        std::int32_t best = pp[o * slabs * inner + i];
        for (std::int64_t s = 1; s < slabs; ++s)
          if (const std::int32_t next = pp[(o * slabs + s) * inner + i]; replaces(which, value(next), value(best)))
            best = next;
        po[at] = best;
      }
    });
  });
}

void take_along_axis(Cpu, const Tensor& x, const Tensor& index, Out out) {
  with_dtype(x.dtype(), [&]<class T>(T) {
    const std::int64_t n = x.size(1), inner = x.size(2);
    const T* px = x.data<T>();
    const std::int32_t* pi = index.data<std::int32_t>();
    T* po = out.mutable_data<T>();
    for (std::int64_t i = 0; i < out.numel(); ++i) po[i] = px[(i / inner * n + pi[i]) * inner + i % inner];
  });
}

void take_along_axis_backward(Cpu, const Tensor& index, const Tensor& dy, Out dx) {
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
