// The one matrix product of everything on the CPU, shared among threads (core/parallel.h).
#pragma once

#include <cstdint>

namespace mixgrad::host {

// C = op(A) op(B) for row-major C [m, n], op(A) [m, k], op(B) [k, n]. A transposed operand is
// stored as [k, m] or [n, k]. lda, ldb, ldc are the distances between rows in memory. C must overlap neither operand.
// T is float, by tiles (core/tile.h), or double, by Eigen.
template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
          std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc);

}  // namespace mixgrad::host
