#include "core/pointwise.h"

#include <array>
#include <cmath>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/reduce.h"

namespace mixgrad {
namespace {

Tensor binary(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  check_same_device(name, a.device(), b.device());
  check(a.dtype() == b.dtype(), name, ": operands are ", name_of(a.dtype()), a.shape(), " and ", name_of(b.dtype()),
        b.shape());
  Tensor out = Tensor::empty(broadcast(name, a.shape(), b.shape()), a.options());
  dispatch(a.device(), [&](auto device) { kernels::binary(device, op, a, b, out); });
  return out;
}

Tensor unary(const char* name, UnaryOp op, const Tensor& x) {
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch(x.device(), [&](auto device) { kernels::unary(device, op, x, out); });
  const Tensor& saved = op == UnaryOp::log ? x : out;
  record(out, name, {x}, [op, saved = Saved(saved)](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(grad.shape(), grad.options());
    dispatch(grad.device(), [&](auto device) { kernels::unary_backward(device, op, *saved, grad, dx); });
    to.add(0, dx);
  });
  return out;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor out = binary("add", BinaryOp::add, a, b);
  record(out, "add", {a, b}, [sa = a.shape(), sb = b.shape()](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) to.add(0, sum_to(grad, sa));
    if (to.needs(1)) to.add(1, sum_to(grad, sb));
  });
  return out;
}

Tensor sub(const Tensor& a, const Tensor& b) {
  Tensor out = binary("sub", BinaryOp::sub, a, b);
  record(out, "sub", {a, b}, [sa = a.shape(), sb = b.shape()](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) to.add(0, sum_to(grad, sa));
    if (to.needs(1)) to.add(1, neg(sum_to(grad, sb)));
  });
  return out;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor out = binary("mul", BinaryOp::mul, a, b);
  record(out, "mul", {a, b}, [a = Saved(a), b = Saved(b)](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) to.add(0, sum_to(grad * *b, a->shape()));
    if (to.needs(1)) to.add(1, sum_to(grad * *a, b->shape()));
  });
  return out;
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor out = binary("div", BinaryOp::div, a, b);
  // d(a/b) = da/b - (a/b)/b db
  record(out, "div", {a, b}, [sa = a.shape(), b = Saved(b), out = Saved(out)](const Tensor& grad, Gradients& to) {
    const Tensor da = grad / *b;
    if (to.needs(0)) to.add(0, sum_to(da, sa));
    if (to.needs(1)) to.add(1, neg(sum_to(da * *out, b->shape())));
  });
  return out;
}

Tensor neg(const Tensor& x) { return unary("neg", UnaryOp::neg, x); }
Tensor relu(const Tensor& x) { return unary("relu", UnaryOp::relu, x); }
Tensor exp(const Tensor& x) { return unary("exp", UnaryOp::exp, x); }
Tensor log(const Tensor& x) { return unary("log", UnaryOp::log, x); }

Tensor sum_to(const Tensor& x, const Shape& shape) {
  const NoGrad off;
  Tensor result = x;
  const int added = x.rank() - shape.rank();
  // Neighbouring axes that go together are summed in one pass over [outer, axes, inner].
  for (int last = x.rank(); last > 0;) {
    const auto summed = [&](int axis) { return axis < added || (shape[axis - added] == 1 && x.shape()[axis] != 1); };
    if (!summed(last - 1)) {
      --last;
      continue;
    }
    int first = last - 1;
    while (first > 0 && (summed(first - 1) || x.shape()[first - 1] == 1)) --first;
    const Shape& from = result.shape();
    const std::int64_t outer = from.product(0, first), n = from.product(first, last);
    const std::int64_t inner = from.product(last, from.rank());
    Shape kept = from;
    for (int axis = first; axis < last; ++axis) kept = kept.with(axis, 1);
    const Tensor sum = Tensor::empty(kept, x.options());
    dispatch(x.device(), [&](auto device) {
      kernels::sum(device, result.view({outer, n, inner}, 0), sum.view({outer, inner}, 0), 1.0);
    });
    result = sum;
    last = first;
  }
  return result.shape() == shape ? result : result.view(shape, 0);
}

void add_(const Tensor& a, const Tensor& b) {
  check(a.shape() == b.shape() && a.dtype() == b.dtype(), "add_: ", a.shape(), " += ", b.shape());
  dispatch(a.device(), [&](auto device) { kernels::binary(device, BinaryOp::add, a, b, a); });
}

namespace kernels {
namespace {

constexpr std::int64_t pointwise_grain = std::int64_t{1} << 15;

// Two broadcast operands as loops: neighbouring axes along which each operand either advances or stays are one
// loop. So equal shapes, and a scalar, become a single loop; a row or a column becomes two.
struct BroadcastLoops {
  struct Loop {
    std::int64_t extent, a_stride, b_stride;
  };
  std::array<Loop, Shape::max_rank> loops{};  // the innermost first
  int count = 0;

  BroadcastLoops(const Shape& a, const Shape& b, const Shape& out) {
    std::int64_t a_size = 1, b_size = 1;
    for (int axis = 1; axis <= out.rank(); ++axis) {
      const std::int64_t extent = out[-axis];
      if (extent == 1) continue;
      const bool a_moves = axis <= a.rank() && a[-axis] != 1;
      const bool b_moves = axis <= b.rank() && b[-axis] != 1;
      const Loop loop{extent, a_moves ? a_size : 0, b_moves ? b_size : 0};
      Loop* inner = count ? &loops[static_cast<std::size_t>(count - 1)] : nullptr;
      const bool joins = inner && (inner->a_stride != 0) == a_moves && (inner->b_stride != 0) == b_moves;
      if (joins) inner->extent *= extent;
      else loops[static_cast<std::size_t>(count++)] = loop;
      if (a_moves) a_size *= extent;
      if (b_moves) b_size *= extent;
    }
    if (count == 0) loops[static_cast<std::size_t>(count++)] = {1, 1, 1};
  }

  // The offsets of both operands at the start of the given run of the innermost loop.
  std::pair<std::int64_t, std::int64_t> offsets(std::int64_t run) const {
    std::int64_t a = 0, b = 0;
    for (int i = 1; i < count; ++i) {
      const Loop& loop = loops[static_cast<std::size_t>(i)];
      a += run % loop.extent * loop.a_stride;
      b += run % loop.extent * loop.b_stride;
      run /= loop.extent;
    }
    return {a, b};
  }
};

template <class T, class F>
void binary_loop(const Tensor& a, const Tensor& b, const Tensor& out, F f) {
  const BroadcastLoops plan(a.shape(), b.shape(), out.shape());
  const auto inner = plan.loops[0];
  const T* pa = a.data<T>();
  const T* pb = b.data<T>();
  T* po = out.mutable_data<T>();
  // One stretch of the innermost loop: each operand is an array or a constant.
  const auto stretch = [&](const T* x, const T* y, T* z, std::int64_t n) {
    if (inner.a_stride && inner.b_stride)
      for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
    else if (inner.a_stride)
      for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], *y);
    else
      for (std::int64_t i = 0; i < n; ++i) z[i] = f(*x, y[i]);
  };
  parallel_for(out.numel(), pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t run = begin / inner.extent, at = begin % inner.extent;
      const std::int64_t n = std::min(end - begin, inner.extent - at);
      const auto [a_run, b_run] = plan.offsets(run);
      stretch(pa + a_run + (inner.a_stride ? at : 0), pb + b_run + (inner.b_stride ? at : 0), po + begin, n);
      begin += n;
    }
  });
}

template <class T, class F>
void map(std::int64_t n, F f) {
  parallel_for(n, pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) f(i);
  });
}

}  // namespace

void binary(Cpu, BinaryOp op, const Tensor& a, const Tensor& b, const Tensor& out) {
  constexpr const char* names[] = {"add", "sub", "mul", "div"};
  with_floating(names[static_cast<int>(op)], out.dtype(), [&]<class T>(T) {
    switch (op) {
      case BinaryOp::add: return binary_loop<T>(a, b, out, [](T x, T y) { return x + y; });
      case BinaryOp::sub: return binary_loop<T>(a, b, out, [](T x, T y) { return x - y; });
      case BinaryOp::mul: return binary_loop<T>(a, b, out, [](T x, T y) { return x * y; });
      case BinaryOp::div: return binary_loop<T>(a, b, out, [](T x, T y) { return x / y; });
    }
  });
}

void unary(Cpu, UnaryOp op, const Tensor& x, const Tensor& out) {
  constexpr const char* names[] = {"neg", "relu", "exp", "log"};
  with_floating(names[static_cast<int>(op)], out.dtype(), [&]<class T>(T) {
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    switch (op) {
      case UnaryOp::neg: return map<T>(out.numel(), [=](auto i) { po[i] = -px[i]; });
      // !(x <= 0) rather than x > 0, so that nan stays nan.
      case UnaryOp::relu: return map<T>(out.numel(), [=](auto i) { po[i] = px[i] <= 0 ? T{0} : px[i]; });
      case UnaryOp::exp: return map<T>(out.numel(), [=](auto i) { po[i] = std::exp(px[i]); });
      case UnaryOp::log: return map<T>(out.numel(), [=](auto i) { po[i] = std::log(px[i]); });
    }
  });
}

void unary_backward(Cpu, UnaryOp op, const Tensor& saved, const Tensor& dy, const Tensor& dx) {
  with_floating("unary_backward", dx.dtype(), [&]<class T>(T) {
    const T* ps = saved.data<T>();
    const T* pdy = dy.data<T>();
    T* pdx = dx.mutable_data<T>();
    switch (op) {
      case UnaryOp::neg: return map<T>(dx.numel(), [=](auto i) { pdx[i] = -pdy[i]; });
      case UnaryOp::relu: return map<T>(dx.numel(), [=](auto i) { pdx[i] = ps[i] <= 0 ? T{0} : pdy[i]; });
      case UnaryOp::exp: return map<T>(dx.numel(), [=](auto i) { pdx[i] = pdy[i] * ps[i]; });
      case UnaryOp::log: return map<T>(dx.numel(), [=](auto i) { pdx[i] = pdy[i] / ps[i]; });
    }
  });
}

}  // namespace kernels
}  // namespace mixgrad
