// Loops over the elements of a row (private: for .cpp files): of floats in vectors, of doubles one by one.
//
//   LaneSums<T> total;
//   for_each_lanes<T>(n, [&](std::int64_t i, std::int64_t count) { total.add(load_row(x + i, count)); });
#pragma once

#include <algorithm>
#include <array>
#include <type_traits>

#include "core/simd.h"
#include "core/sums.h"

namespace mixgrad::host {

// What is computed at once.
template <class T>
using Lanes = std::conditional_t<std::is_same_v<T, float>, Vector, T>;
template <class T>
inline constexpr std::int64_t lanes_of = std::is_same_v<T, float> ? lanes : 1;

// 0, 1, 2, ...
inline Vector lane_numbers() {
  Vector v{};
  for (int i = 0; i < lanes; ++i) v[i] = static_cast<float>(i);
  return v;
}

// `count` elements, or as many as there are lanes; in lanes beyond them `rest`.
inline double load_row(const double* from, std::int64_t, double = 0) { return *from; }
inline Vector load_row(const float* from, std::int64_t count, float rest = 0) {
  if (count >= lanes) return load(from);
  const Vector v = load_first(static_cast<int>(count), from);
  return lane_numbers() < static_cast<float>(count) ? v : Vector{} + rest;
}
// `value`, and 0 in lanes beyond `count`.
inline double filled_row(std::int64_t, double value) { return value; }
inline Vector filled_row(std::int64_t count, float value) {
  return lane_numbers() < static_cast<float>(count) ? Vector{} + value : Vector{};
}
inline void set_lane(double& v, std::int64_t, double value) { v = value; }
inline void set_lane(Vector& v, std::int64_t i, float value) { v[i] = value; }
inline void store_row(double* to, double v, std::int64_t) { *to = v; }
inline void store_row(float* to, Vector v, std::int64_t count) { store(to, v, count); }

// Calls f(i, count) for the first of each `lanes_of<T>` elements of 0..n-1 and how many are left from there on.
template <class T, class F>
void for_each_lanes(std::int64_t n, F f) {
  for (std::int64_t i = 0; i < n; i += lanes_of<T>) f(i, n - i);
}

// Sums (core/sums.h) of what is added, for each lane: of a block of vectors, and then in f64.
template <class T>
class LaneSums : public RunningSum<T> {
 public:
  void add_to(double* totals, std::int64_t) const { *totals += this->value(); }
};
template <>
class LaneSums<float> {
 public:
  void add(Vector v) {
    block_ += v;
    if (++count_ == sum_block) flush();
  }
  void add_to(double* totals, std::int64_t count) {
    flush();
    for (std::int64_t i = 0; i < std::min<std::int64_t>(count, lanes); ++i) totals[i] += total_[i];
  }
  double value() {  // of all lanes
    flush();
    double total = 0;
    for (int i = 0; i < lanes; ++i) total += total_[i];
    return total;
  }

 private:
  using Doubles = double __attribute__((vector_size(lanes * sizeof(double))));
  void flush() {
    total_ += __builtin_convertvector(block_, Doubles);
    block_ = Vector{};
    count_ = 0;
  }
  Vector block_{};
  Doubles total_{};
  int count_ = 0;
};

// totals[j * columns + c] += sum over rows begin..end-1 of term(row * columns + c, c, count)[j] for each column, where
// the term is of the lanes from column c on.
template <class T, std::size_t k, class F>
void add_rows_of(std::int64_t begin, std::int64_t end, std::int64_t columns, double* totals, F term) {
  for_each_lanes<T>(columns, [&](std::int64_t c, std::int64_t count) {
    LaneSums<T> sums[k];
    for (std::int64_t row = begin; row < end; ++row) {
      const std::array<Lanes<T>, k> terms = term(row * columns + c, c, count);
      for (std::size_t j = 0; j < k; ++j) sums[j].add(terms[j]);
    }
    for (std::size_t j = 0; j < k; ++j) sums[j].add_to(totals + static_cast<std::int64_t>(j) * columns + c, count);
  });
}

// The largest element, of n >= 1; of a row with a nan, that or any.
template <class T>
T largest_of(const T* x, std::int64_t n) {
  Lanes<T> largest = load_row(x, n, x[0]);
  for_each_lanes<T>(n, [&](std::int64_t i, std::int64_t count) {
    const Lanes<T> v = load_row(x + i, count, x[0]);
    largest = v > largest ? v : largest;
  });
  if constexpr (lanes_of<T> == 1) return largest;
  else {
    T result = largest[0];
    for (int i = 1; i < lanes; ++i) result = std::max(result, largest[i]);
    return result;
  }
}

}  // namespace mixgrad::host
