// What tests of the CUDA half share: running in every order of the executor's threads, and how far results are apart.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/allocator.h"
#ifdef MIXGRAD_CUDA_EXECUTOR
#include "executor.h"
#endif

namespace mixgrad::test {

// Calls f, and with the executor once more in each of its orders; all must give the same bits.
template <class F>
std::vector<double> in_every_order(F f) {
#ifdef MIXGRAD_CUDA_EXECUTOR
  release_cache(cuda);
  return executor::run_in_every_order(f);
#else
  return f();
#endif
}

// max |a - b| / max |b|; infinite when a nan is on one side only.
inline double relative_error(const std::vector<double>& a, const std::vector<double>& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double error = 0, largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) != std::isnan(b[i])) return std::numeric_limits<double>::infinity();
    if (std::isnan(a[i]) || a[i] == b[i]) continue;
    error = std::max(error, std::abs(a[i] - b[i]));
    largest = std::max(largest, std::abs(b[i]));
  }
  return error == 0 ? 0 : error / largest;
}

}  // namespace mixgrad::test
