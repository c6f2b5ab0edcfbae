#include "core/gemm.cuh"
#include "core/matmul.h"

namespace mixgrad::kernels {
namespace {

// Element (row, k) of a matrix in memory as [rows, depth], or with `transposed` as [depth, rows].
template <bool transposed>
struct Matrix {
  static constexpr bool along_k = !transposed;
  const float* x;
  int rows, depth;
  bool wide;

  __device__ Matrix at(int) const { return *this; }
  __device__ int row(int row) const { return row; }
  __device__ float4 load(int row, int k) const {
    if constexpr (transposed) return load4(wide, x + std::int64_t{k} * rows + row, k < depth ? rows - row : 0);
    else return load4(wide, x + std::int64_t{row} * depth + k, row < rows ? depth - k : 0);
  }
};

struct Output {
  float* out;
  int columns;
  bool wide;

  __device__ Output at(int, int) const { return *this; }
  __device__ void store(int m, int n, float4 values, int valid) const {
    store4(wide, out + std::int64_t{m} * columns + n, values, valid);
  }
};

template <class F>
void with_matrix(const Tensor& x, bool transposed, F&& f) {
  const auto outer = static_cast<int>(x.size(0)), inner = static_cast<int>(x.size(1));
  const bool wide = inner % 4 == 0 && is_aligned(read(x), 4);
  if (transposed) f(Matrix<true>{read(x), inner, outer, wide});
  else f(Matrix<false>{read(x), outer, inner, wide});
}

}  // namespace

void matmul(Cuda device, const Tensor& a, const Tensor& b, MatmulOptions options, Out out) {
  for (const std::int64_t extent : {a.size(0), a.size(1), b.size(0), b.size(1)})
    check(extent <= std::int64_t{1} << 30, device.op, ": an extent of ", extent,
          " is more than the CUDA kernel supports (2^30)");
  with_matrix(a, options.transpose_a, [&](const auto& rows) {
    with_matrix(b, !options.transpose_b, [&](const auto& columns) {
      implicit_gemm(device, {.m = rows.rows, .n = columns.rows, .k = rows.depth}, rows, columns,
                    Output{write(out), columns.rows, columns.rows % 4 == 0 && is_aligned(write(out), 4)});
    });
  });
}

}  // namespace mixgrad::kernels
