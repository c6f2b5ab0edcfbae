#include "core/gemm.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/eigen.h"
#include "core/tile.h"

namespace mixgrad::host {

template <>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const double* a,
          std::int64_t lda, const double* b, std::int64_t ldb, double* c, std::int64_t ldc) {
  const ConstMatrixMap<double> A(a, transpose_a ? k : m, transpose_a ? m : k, Eigen::OuterStride<>(lda));
  const ConstMatrixMap<double> B(b, transpose_b ? n : k, transpose_b ? k : n, Eigen::OuterStride<>(ldb));
  MatrixMap<double> C(c, m, n, Eigen::OuterStride<>(ldc));
  C.setZero();
  if (transpose_a && transpose_b) C.noalias() += A.transpose() * B.transpose();
  else if (transpose_a) C.noalias() += A.transpose() * B;
  else if (transpose_b) C.noalias() += A * B.transpose();
  else C.noalias() += A * B;
}

template <>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  constexpr std::int64_t most_depth = 384;
  const std::int64_t a_row = transpose_a ? 1 : lda, a_step = transpose_a ? lda : 1;
  // A long sum is split into parts, whose sums are added in f64 (core/sums.h).
  constexpr std::int64_t most_chain = 8 * most_depth;
  if (k > most_chain) {
    const Scratch<double> total(m * n);
    double* const totals = total.data();
    const auto each = [=](auto f) {
      for (std::int64_t i = 0; i < m; ++i)
        for (std::int64_t j = 0; j < n; ++j) f(totals[i * n + j], c[i * ldc + j]);
    };
    std::fill_n(totals, m * n, 0.0);
    for_each_part(k, most_chain, [&](std::int64_t first, std::int64_t count) {
      gemm(transpose_a, transpose_b, m, n, count, a + first * a_step, lda, b + first * (transpose_b ? 1 : ldb), ldb, c,
           ldc);
      each([](double& sum, float value) { sum += value; });
    });
    return each([](double sum, float& value) { value = static_cast<float>(sum); });
  }
  alignas(64) float panel[most_depth * tile_columns];
  for (std::int64_t j = 0; j < n; j += tile_columns) {
    const std::int64_t columns = std::min(n - j, tile_columns), width = whole_vectors(columns);
    bool started = false;
    for_each_part(std::max<std::int64_t>(k, 1), most_depth, [&](std::int64_t first, std::int64_t count) {
      const std::int64_t depth = std::min(count, k);
      copy_panel(transpose_b, depth, columns, transpose_b ? b + j * ldb + first : b + first * ldb + j, ldb, panel);
      for_each_part(m, most_rows(columns), [&](std::int64_t i, std::int64_t rows) {
        float* to = c + i * ldc + j;
        multiply(EvenTileProduct{.a = a + i * a_row + first * a_step,
                                 .a_row = a_row,
                                 .a_step = a_step,
                                 .b = panel,
                                 .b_row = width,
                                 .start = started ? to : nullptr,
                                 .start_row = ldc,
                                 .c = to,
                                 .c_row = ldc,
                                 .rows = rows,
                                 .columns = columns,
                                 .depth = depth});
      });
      started = true;
    });
  }
}

}  // namespace mixgrad::host
