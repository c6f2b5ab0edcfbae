// Long sums (private). Adding n values one after the other accumulates up to n rounding errors: ten million times 0.1f
// is off by 2e-5. Here at most `sum_block` values are added in T, and the sums of blocks in f64, whose rounding is
// negligible. So an f32 sum is off by less than sum_block * 2^-24 * sum of |x| < 5e-7 * sum of |x|, whatever its
// length.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace mixgrad {

inline constexpr int sum_block = 8;

// A running sum of single values, in order: what a GPU thread does.
template <class T>
class RunningSum {
 public:
  MIXGRAD_HOST_DEVICE void add(T x) {
    block_ += x;
    if (++count_ < sum_block) return;
    total_ = value();
    block_ = 0;
    count_ = 0;
  }
  MIXGRAD_HOST_DEVICE double value() const { return total_ + static_cast<double>(block_); }

 private:
  T block_ = 0;
  int count_ = 0;
  double total_ = 0;
};

// k terms of as many sums: Terms{a, b}.
template <class T, int k>
struct Terms {
  static constexpr int count = k;
  T value[k];
  MIXGRAD_HOST_DEVICE friend Terms operator+(const Terms& a, const Terms& b) {
    Terms sum;
    for (int j = 0; j < k; ++j) sum.value[j] = a.value[j] + b.value[j];
    return sum;
  }
};
template <class T, class... Rest>
Terms(T, Rest...) -> Terms<T, static_cast<int>(1 + sizeof...(Rest))>;

}  // namespace mixgrad
