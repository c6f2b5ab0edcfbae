#include "core/matmul.h"

#include "core/autograd.h"
#include "core/gemm.h"

namespace mixgrad {

Tensor matmul(const Tensor& a, const Tensor& b, MatmulOptions options) {
  check_same_device("matmul", a.device(), b.device());
  const bool ta = options.transpose_a, tb = options.transpose_b;
  check(a.rank() == 2 && b.rank() == 2 && a.dtype() == b.dtype() && a.size(ta ? 0 : 1) == b.size(tb ? 1 : 0),
        "matmul: ", name_of(a.dtype()), a.shape(), ta ? " transposed" : "", " and ", name_of(b.dtype()), b.shape(),
        tb ? " transposed" : "", " do not multiply");
  Tensor out = Tensor::empty({a.size(ta ? 1 : 0), b.size(tb ? 0 : 1)}, a.options());
  count_flops(2.0 * static_cast<double>(out.numel() * a.size(ta ? 0 : 1)));
  dispatch("matmul", a.device(), [&](auto device) { kernels::matmul(device, a, b, options, out); });
  // With C = op(A) op(B) and G = dC: d op(A) = G op(B)^T and d op(B) = op(A)^T G.
  record(out, "matmul", {a, b}, [a = Saved(a), b = Saved(b), ta, tb](const Tensor& grad, Gradients& to) {
    if (to.needs(0))
      to.add(0, ta ? matmul(*b, grad, {.transpose_a = tb, .transpose_b = true})
                   : matmul(grad, *b, {.transpose_a = false, .transpose_b = !tb}));
    if (to.needs(1))
      to.add(1, tb ? matmul(grad, *a, {.transpose_a = true, .transpose_b = ta})
                   : matmul(*a, grad, {.transpose_a = !ta, .transpose_b = false}));
  });
  return out;
}

namespace kernels {

void matmul(Cpu, const Tensor& a, const Tensor& b, MatmulOptions options, Out out) {
  const bool ta = options.transpose_a, tb = options.transpose_b;
  with_floating("matmul", out.dtype(), [&]<class T>(T) {
    gemm(ta, tb, out.size(0), out.size(1), a.size(ta ? 0 : 1), a.data<T>(), a.size(1), b.data<T>(), b.size(1),
         out.mutable_data<T>(), out.size(1));
  });
}

}  // namespace kernels
}  // namespace mixgrad
