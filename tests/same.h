// Whether tensors are the same, and how far they are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::test {

// Shape, dtype and every value.
inline bool same(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         with_dtype(a.dtype(), [&]<class T>(T) { return a.to_vector<T>() == b.to_vector<T>(); });
}

// Infinite where a nan is among the differences.
inline double largest_difference(const Tensor& a, const Tensor& b) {
  double largest = 0;
  const auto x = a.to(DType::f64).to_vector<double>(), y = b.to(DType::f64).to_vector<double>();
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = std::abs(x[i] - y[i]);
    largest = std::isnan(difference) ? INFINITY : std::max(largest, difference);  // max alone would pass over a nan
  }
  return largest;
}

}  // namespace mixgrad::test
