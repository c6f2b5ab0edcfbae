// Long sums (private). Adding n values one after the other accumulates up to n rounding errors: ten million times 0.1f
// is off by 2e-5. Here at most `sum_block` values are added in T, and the sums of blocks in f64, whose rounding is
// negligible. So an f32 sum is off by less than sum_block * 2^-24 * sum of |x| < 5e-7 * sum of |x|, whatever its
// length.
#pragma once

#include <algorithm>
#include <array>
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

// k terms of as many sums.
template <class T, int k>
struct Terms {
  T value[k];
  MIXGRAD_HOST_DEVICE friend Terms operator+(const Terms& a, const Terms& b) {
    Terms sum;
    for (int j = 0; j < k; ++j) sum.value[j] = a.value[j] + b.value[j];
    return sum;
  }
};

namespace host {

// at(0) + at(1) + ... of n values, a power of two, as a tree.
template <int n, class F>
auto tree_sum(const F& at, int first = 0) {
  if constexpr (n == 1) return at(first);
  else return tree_sum<n / 2>(at, first) + tree_sum<n / 2>(at, first + n / 2);
}

// totals[j * columns + c] += sum over rows begin..end-1 of term(row * columns + c, c).value[j], for each column: what a
// CPU thread does with its range of rows.
template <class T, int k, class F>
void add_rows(std::int64_t begin, std::int64_t end, std::int64_t columns, double* totals, F term) {
  const auto add = [=](auto sums) {
#pragma omp simd
    for (std::int64_t c = 0; c < columns; ++c) {
      const Terms<T, k> block = sums(c);
      for (int j = 0; j < k; ++j) totals[j * columns + c] += static_cast<double>(block.value[j]);
    }
  };
  std::int64_t row = begin;
  for (; row + sum_block <= end; row += sum_block)
    add([=, first = row * columns](std::int64_t c) {
      return tree_sum<sum_block>([&](int r) { return term(first + r * columns + c, c); });
    });
  for (; row < end; ++row) add([=, first = row * columns](std::int64_t c) { return term(first + c, c); });
}

// totals[c] += sum over rows of x [rows, columns]. Several narrow rows are one wide one, whose sums are then added as a
// tree.
template <class T>
void add_rows(const T* x, std::int64_t rows, std::int64_t columns, double* totals) {
  constexpr std::int64_t width = 32;
  const auto element = [x](std::int64_t i, std::int64_t) { return Terms<T, 1>{{x[i]}}; };
  const std::int64_t at_once = columns < width ? width / std::max<std::int64_t>(columns, 1) : 1;
  std::int64_t done = 0;
  if (at_once > 1 && rows >= sum_block * at_once) {
    double wide[width] = {};
    add_rows<T, 1>(0, rows / at_once, at_once * columns, wide, element);
    for (std::int64_t left = at_once; left > 1; left = (left + 1) / 2)
      for (std::int64_t i = 0, half = (left + 1) / 2 * columns; i < left / 2 * columns; ++i) wide[i] += wide[half + i];
    for (std::int64_t c = 0; c < columns; ++c) totals[c] += wide[c];
    done = rows / at_once * at_once;
  }
  add_rows<T, 1>(done, rows, columns, totals, element);
}

// The sum of x[0..n-1]: long ones as wide rows, short ones by blocks for each of at least four lanes.
template <class T>
double sum_of(const T* x, std::int64_t n) {
  constexpr std::int64_t block = 4 * sum_block, is_long = 16 * block;
  double total = 0;
  if (n >= is_long) {
    add_rows(x, n, 1, &total);
    return total;
  }
  for (std::int64_t first = 0; first < n; first += block) {
    T sum = 0;
#pragma omp simd reduction(+ : sum)
    for (std::int64_t i = first; i < std::min(n, first + block); ++i) sum += x[i];
    total += static_cast<double>(sum);
  }
  return total;
}

}  // namespace host
}  // namespace mixgrad
