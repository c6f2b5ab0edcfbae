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
  // For each part of the depth, all panels of B are packed, and then a few rows of A at a time are multiplied by them.
  // Rows that meet many panels are packed as well: where they are a power of two apart, they would push each other out
  // of the first cache.
  const std::int64_t most = most_rows(std::min(n, tile_columns));
  const bool packs_rows = n >= 4 * tile_columns;
  const Scratch<> panels(whole_vectors(n) * std::min(k, most_depth));
  alignas(64) float packed[most_depth * most_rows(tile_columns)];
  bool started = false;
  for_each_part(std::max<std::int64_t>(k, 1), most_depth, [&](std::int64_t first, std::int64_t count) {
    const std::int64_t depth = std::min(count, k);
    for (std::int64_t j = 0; j < n; j += tile_columns)
      copy_panel(transpose_b, depth, std::min(n - j, tile_columns),
                 transpose_b ? b + j * ldb + first : b + first * ldb + j, ldb, panels.data() + j * depth);
    for_each_part(m, most, [&](std::int64_t i, std::int64_t rows) {
      EvenTileProduct tile{.a = a + i * a_row + first * a_step,
                           .a_row = a_row,
                           .a_step = a_step,
                           .c_row = ldc,
                           .rows = rows,
                           .depth = depth};
      if (packs_rows) {
        tile.a_row = transpose_a ? 1 : depth;
        tile.a_step = transpose_a ? rows : 1;
        for (std::int64_t r = 0; r < (transpose_a ? depth : rows); ++r)
          std::copy_n(tile.a + r * lda, transpose_a ? rows : depth, packed + r * (transpose_a ? rows : depth));
        tile.a = packed;
      }
      for (std::int64_t j = 0; j < n; j += tile_columns) {
        tile.columns = std::min(n - j, tile_columns);
        tile.b = panels.data() + j * depth;
        tile.b_row = whole_vectors(tile.columns);
        tile.c = c + i * ldc + j;
        tile.start = started ? tile.c : nullptr;
        tile.start_row = ldc;
        multiply(tile);
      }
    });
    started = true;
  });
}

}  // namespace mixgrad::host
