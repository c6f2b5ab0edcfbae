// Whether tensors are the same: shape, dtype and every value.
#pragma once

#include "core/tensor.h"

namespace mixgrad::test {

inline bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         with_dtype(a.dtype(), [&]<class T>(T) { return a.to_vector<T>() == b.to_vector<T>(); });
}

}  // namespace mixgrad::test
