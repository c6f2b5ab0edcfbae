#include "core/pointwise.h"

#include <array>

#include "core/autograd.h"
#include "core/broadcast.h"
#include "core/elementwise.h"
#include "core/reduce.h"

namespace mixgrad {
namespace {

Tensor binary(const char* name, const functions::Arithmetic& f, const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty(broadcast(name, a, b), a.options());
  check(is_floating(a.dtype()), name, ": needs f32 or f64, not ", name_of(a.dtype()));
  dispatch(name, a.device(), [&](auto device) { kernels::binary(device, f, a, b, out); });
  return out;
}

Tensor compare(const char* name, const functions::Comparison& f, const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty(broadcast(name, a, b), {.dtype = DType::u8, .device = a.device()});
  dispatch(name, a.device(), [&](auto device) { kernels::compare(device, f, a, b, out); });
  return out;
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  Tensor out = binary("add", std::plus<>{}, a, b);
  record(out, "add", {a, b}, [sa = a.shape(), sb = b.shape()](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) to.add(0, sum_to(grad, sa));
    if (to.needs(1)) to.add(1, sum_to(grad, sb));
  });
  return out;
}

Tensor sub(const Tensor& a, const Tensor& b) {
  Tensor out = binary("sub", std::minus<>{}, a, b);
  record(out, "sub", {a, b}, [sa = a.shape(), sb = b.shape()](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) to.add(0, sum_to(grad, sa));
    if (to.needs(1)) to.add(1, neg(sum_to(grad, sb)));
  });
  return out;
}

Tensor mul(const Tensor& a, const Tensor& b) {
  Tensor out = binary("mul", std::multiplies<>{}, a, b);
  record(out, "mul", {a, b}, [a = Saved(a), b = Saved(b)](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) to.add(0, sum_to(grad * *b, a->shape()));
    if (to.needs(1)) to.add(1, sum_to(grad * *a, b->shape()));
  });
  return out;
}

Tensor div(const Tensor& a, const Tensor& b) {
  Tensor out = binary("div", std::divides<>{}, a, b);
  // d(a/b) = da/b - (a/b)/b db
  record(out, "div", {a, b}, [sa = a.shape(), b = Saved(b), out = Saved(out)](const Tensor& grad, Gradients& to) {
    const Tensor da = grad / *b;
    if (to.needs(0)) to.add(0, sum_to(da, sa));
    if (to.needs(1)) to.add(1, neg(sum_to(da * *out, b->shape())));
  });
  return out;
}

Tensor pow(const Tensor& a, const Tensor& b) {
  Tensor out = binary("pow", functions::BinaryPow{}, a, b);
  // d(a^b) = b a^(b-1) da + a^b log(a) db
  record(out, "pow", {a, b}, [a = Saved(a), b = Saved(b), out = Saved(out)](const Tensor& grad, Gradients& to) {
    const Tensor zero = Tensor::zeros({}, grad.options());
    if (to.needs(0)) to.add(0, sum_to(grad * where(equal(*b, zero), zero, *b * pow(*a, *b - 1.0)), a->shape()));
    if (to.needs(1)) to.add(1, sum_to(grad * where(equal(*a, zero), zero, *out * log(*a)), b->shape()));
  });
  return out;
}

Tensor weighted(const Tensor& weight, const Tensor& x) {
  Tensor out = binary("weighted", functions::Weighted{}, weight, x);
  record(out, "weighted", {weight, x}, [w = Saved(weight), x = Saved(x)](const Tensor& grad, Gradients& to) {
    if (to.needs(0)) {
      const Tensor counts = not_equal(*w, Tensor::zeros({}, w->options())), difference = *x - *x;  // nan if infinite
      const Tensor finite = equal(difference, Tensor::zeros({}, x->options()));
      const Tensor dw = weighted(where(finite, Tensor::ones({}, x->options()), counts.to(x->dtype())), *x);
      to.add(0, sum_to(grad * dw, w->shape()));
    }
    if (to.needs(1)) to.add(1, sum_to(weighted(*w, grad), x->shape()));
  });
  return out;
}

Tensor less(const Tensor& a, const Tensor& b) { return compare("less", std::less<>{}, a, b); }
Tensor less_equal(const Tensor& a, const Tensor& b) { return compare("less_equal", std::less_equal<>{}, a, b); }
Tensor greater(const Tensor& a, const Tensor& b) { return compare("greater", std::less<>{}, b, a); }
Tensor greater_equal(const Tensor& a, const Tensor& b) { return compare("greater_equal", std::less_equal<>{}, b, a); }
Tensor equal(const Tensor& a, const Tensor& b) { return compare("equal", std::equal_to<>{}, a, b); }
Tensor not_equal(const Tensor& a, const Tensor& b) { return compare("not_equal", std::not_equal_to<>{}, a, b); }

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  check(condition.dtype() == DType::u8, "where: the condition is ", name_of(condition.dtype()), ", not u8");
  check_same_device("where", condition.device(), a.device());
  const Shape shape = broadcast("where", condition.shape(), broadcast("where", a, b));
  Tensor out = Tensor::empty(shape, a.options());
  dispatch("where", a.device(), [&](auto device) { kernels::where(device, condition, a, b, out); });
  record(out, "where", {a, b},
         [condition = Saved(condition), sa = a.shape(), sb = b.shape()](const Tensor& grad, Gradients& to) {
           const Tensor zero = Tensor::zeros({}, grad.options());
           if (to.needs(0)) to.add(0, sum_to(where(*condition, grad, zero), sa));
           if (to.needs(1)) to.add(1, sum_to(where(*condition, zero, grad), sb));
         });
  return out;
}

Tensor sum_to(Tensor x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const int added = x.rank() - shape.rank();
  Axes axes({});
  for (int axis = 0; axis < x.rank(); ++axis)
    if (axis < added || shape[axis - added] == 1) axes.push_back(axis);
  return no_grad([&] { return sum(x, axes, {.keepdim = true}); }).raw_view(shape, 0);
}

void add_(const Tensor& a, const Tensor& b) { add_each_(std::array{Addition{a, b}}); }

void add_each_(std::span<const Addition> additions) {
  if (additions.empty()) return;
  for (const auto& [a, b] : additions) {
    check(!a.requires_grad() || !grad_enabled(), "add_: writes in place to a tensor that requires a gradient");
    check(a.shape() == b.shape() && a.dtype() == b.dtype(), "add_: ", a.shape(), " += ", b.shape());
    check_same_device("add_", a.device(), b.device());
    check_same_device("add_", a.device(), additions.front().a.device());
  }
  dispatch("add_", additions.front().a.device(), [&](auto device) { kernels::add_each(device, additions); });
}

namespace kernels {

void add_each(Cpu device, std::span<const Addition> additions) {
  for (const auto& [a, b] : additions) binary(device, std::plus<>{}, a, b, a);
}

void binary(Cpu, const functions::Arithmetic& f, const Tensor& a, const Tensor& b, Out out) {
  with_floating("add_", out.dtype(), [&]<class T>(T) {
    std::visit([&](auto g) { map_broadcast<T, T, T>(g, out, {a, b}); }, f);
  });
}

void compare(Cpu, const functions::Comparison& f, const Tensor& a, const Tensor& b, Out out) {
  with_dtype(a.dtype(), [&]<class T>(T) {
    std::visit([&](auto g) { map_broadcast<std::uint8_t, T, T>(g, out, {a, b}); }, f);
  });
}

void where(Cpu, const Tensor& condition, const Tensor& a, const Tensor& b, Out out) {
  with_floating("where", out.dtype(), [&]<class T>(T) {
    map_broadcast<T, std::uint8_t, T, T>(functions::Choose{}, out, {condition, a, b});
  });
}

}  // namespace kernels
}  // namespace mixgrad
