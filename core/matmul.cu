#include "core/gemm.cuh"
#include "core/matmul.h"

namespace mixgrad::kernels {
namespace {

template <class F>
void with_matrix(const Tensor& x, bool transposed, F&& f) {
  const auto outer = static_cast<int>(x.size(0)), inner = static_cast<int>(x.size(1));
  const bool wide = inner % 4 == 0 && is_aligned(read(x), 4);
  if (transposed) f(MatrixOperand<true>{read(x), inner, outer, inner, 0, wide});
  else f(MatrixOperand<false>{read(x), outer, inner, inner, 0, wide});
}

}  // namespace

void matmul(Cuda device, const Tensor& a, const Tensor& b, MatmulOptions options, Out out) {
  for (const std::int64_t extent : {a.size(0), a.size(1), b.size(0), b.size(1)})
    check(extent <= std::int64_t{1} << 30, device.op, ": an extent of ", extent,
          " is more than the CUDA kernel supports (2^30)");
  with_matrix(a, options.transpose_a, [&](const auto& rows) {
    with_matrix(b, !options.transpose_b, [&](const auto& columns) {
      implicit_gemm(
          device, {.m = rows.rows, .n = columns.rows, .k = rows.depth}, rows, columns,
          RowsOut{write(out), columns.rows, columns.rows, columns.rows % 4 == 0 && is_aligned(write(out), 4)});
    });
  });
}

}  // namespace mixgrad::kernels
