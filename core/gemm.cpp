#include "core/gemm.h"

#include "core/eigen.h"

namespace mixgrad {

template <class T>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const T* a,
          std::int64_t lda, const T* b, std::int64_t ldb, T* c, std::int64_t ldc, Accumulate accumulate) {
  const ConstMatrixMap<T> A(a, transpose_a ? k : m, transpose_a ? m : k, Eigen::OuterStride<>(lda));
  const ConstMatrixMap<T> B(b, transpose_b ? n : k, transpose_b ? k : n, Eigen::OuterStride<>(ldb));
  MatrixMap<T> C(c, m, n, Eigen::OuterStride<>(ldc));
  if (accumulate == Accumulate::overwrite) C.setZero();
  if (transpose_a && transpose_b) C.noalias() += A.transpose() * B.transpose();
  else if (transpose_a) C.noalias() += A.transpose() * B;
  else if (transpose_b) C.noalias() += A * B.transpose();
  else C.noalias() += A * B;
}

template void gemm(bool, bool, std::int64_t, std::int64_t, std::int64_t, const float*, std::int64_t, const float*,
                   std::int64_t, float*, std::int64_t, Accumulate);
template void gemm(bool, bool, std::int64_t, std::int64_t, std::int64_t, const double*, std::int64_t, const double*,
                   std::int64_t, double*, std::int64_t, Accumulate);

}  // namespace mixgrad
