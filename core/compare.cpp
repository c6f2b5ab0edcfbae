#include "core/compare.h"

#include "core/autograd.h"
#include "core/broadcast.h"
#include "core/elementwise.h"
#include "core/pointwise.h"

namespace mixgrad {
namespace {

Tensor compare(const char* name, const functions::Comparison& f, const Tensor& a, const Tensor& b) {
  Tensor out = Tensor::empty(broadcast(name, a, b), {.dtype = DType::u8, .device = a.device()});
  dispatch(name, a.device(), [&](auto device) { kernels::compare(device, f, a, b, out); });
  return out;
}

}  // namespace

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

namespace kernels {

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
