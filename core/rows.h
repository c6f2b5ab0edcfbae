// Loops over the elements of a row (private: for .cpp files): of floats in vectors, of doubles one by one.
//
//   const auto [sum] =
//       sums_of_row<T>(n, [=](std::int64_t i, std::int64_t count) { return Terms{load_row(x + i, count)}; });
#pragma once

#include <algorithm>
#include <array>
#include <functional>
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
// v, but 0 in lanes beyond `count`.
inline double first_lanes(std::int64_t, double v) { return v; }
inline Vector first_lanes(std::int64_t count, Vector v) {
  return count >= lanes ? v : lane_numbers() < static_cast<float>(count) ? v : Vector{};
}
inline double lane_of(double v, std::int64_t) { return v; }
inline float lane_of(Vector v, std::int64_t i) { return v[i]; }
inline void store_row(double* to, double v, std::int64_t) { *to = v; }
inline void store_row(float* to, Vector v, std::int64_t count) { store(to, v, count); }

// Calls f(i, count) for the first of each `lanes_of<T>` elements of 0..n-1, or of as many as are left. Everything here
// is inlined, also f, twice: so the compiler knows that whole vectors are whole.
template <class T, class F>
[[gnu::flatten]] void for_each_lanes(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + lanes_of<T> <= n; i += lanes_of<T>) f(i, lanes_of<T>);
  if (i < n) f(i, n - i);
}

// at(0), at(1), ... of n values, a power of two, combined as a tree: so most of them do not wait for each other.
template <int n, class F, class Combine = std::plus<>>
auto tree_of(const F& at, const Combine& combine = {}, int first = 0) {
  if constexpr (n == 1) return at(first);
  else return combine(tree_of<n / 2>(at, combine, first), tree_of<n / 2>(at, combine, first + n / 2));
}

// Sums of lanes in f64.
template <class T>
struct LaneTotals {
  double total = 0;
  void add(T v) { total += v; }
  double sum() const { return total; }
  void add_to(double* totals, std::int64_t) const { *totals += total; }
};
template <>
struct LaneTotals<float> {
  Doubles lower{}, upper{};
  void add(Vector v) { lower += half_in_f64<false>(v), upper += half_in_f64<true>(v); }
  double sum() const {
    return tree_of<lanes / 2>([both = lower + upper](int lane) { return both[lane]; });
  }
  void add_to(double* totals, std::int64_t count) const {  // the first `count` lanes
    if (count < lanes)
      for (int i = 0; i < count; ++i) totals[i] += i < lanes / 2 ? lower[i] : upper[i - lanes / 2];
    else
      for (int i = 0; i < lanes / 2; ++i) totals[i] += lower[i], totals[i + lanes / 2] += upper[i];
  }
};

// totals[i] += v[i] for the first `count` lanes.
inline void add_row(double* totals, double v, std::int64_t) { *totals += v; }
inline void add_row(double* totals, Vector v, std::int64_t count) {
  LaneTotals<float> sums;
  sums.add(v);
  sums.add_to(totals, count);
}

// The sums over a row of n elements of the Terms that term(i, count) gives for the lanes from i on, 0 in those beyond
// count: those of a block in T, and of the blocks in f64 (core/sums.h).
template <class T, class F>
[[gnu::flatten]] auto sums_of_row(std::int64_t n, const F& term) {
  constexpr std::int64_t step = lanes_of<T>, block = sum_block * step;
  using Term = decltype(term(0, 0));
  LaneTotals<T> totals[Term::count];
  const auto add = [&](const Term& sum) {
    for (int j = 0; j < Term::count; ++j) totals[j].add(sum.value[j]);
  };
  std::int64_t i = 0;
  for (; i + block <= n; i += block) add(tree_of<sum_block>([&](int v) { return term(i + v * step, step); }));
  Term rest{};
  for_each_lanes<T>(n - i, [&](std::int64_t at, std::int64_t count) { rest = rest + term(i + at, count); });
  add(rest);
  std::array<double, Term::count> sums;
  for (int j = 0; j < Term::count; ++j) sums[static_cast<std::size_t>(j)] = totals[j].sum();
  return sums;
}

// totals[j * columns + c] += sum over rows begin..end-1 of term(row * columns + c, c, count).value[j] for each column,
// where the terms are of the lanes from column c on. Several vectors side by side are read at once: of narrow rows all,
// which is the order of memory.
template <class T, class F>
[[gnu::flatten]] void add_rows(std::int64_t begin, std::int64_t end, std::int64_t columns, double* totals,
                               const F& term) {
  using Term = decltype(term(0, 0, 0));
  constexpr std::int64_t step = lanes_of<T>, width = 64;
  for (std::int64_t row = begin; row < end; row += sum_block) {
    const auto add = [=](auto vectors, std::int64_t first, std::int64_t count) {
      Term sums[vectors] = {};
      for (std::int64_t r = row; r < std::min(row + sum_block, end); ++r)
        for (std::int64_t v = 0, c = first; v < vectors; ++v, c += step)
          sums[v] = sums[v] + term(r * columns + c, c, count);
      for (std::int64_t v = 0, c = first; v < vectors; ++v, c += step)
        for (int j = 0; j < Term::count; ++j) add_row(totals + j * columns + c, sums[v].value[j], count);
    };
    std::int64_t c = 0;
    for (; c + width <= columns; c += width) add(std::integral_constant<std::int64_t, width / step>{}, c, step);
    for_each_lanes<T>(columns - c, [=](std::int64_t at, std::int64_t count) {
      add(std::integral_constant<std::int64_t, 1>{}, c + at, count);
    });
  }
}

// totals[c] += sum over rows of x [rows, columns]. As many narrow rows as there are lanes are one row of whole vectors,
// whose sums are then added as a tree.
template <class T>
void add_rows(const T* x, std::int64_t rows, std::int64_t columns, double* totals) {
  const auto at = [x](std::int64_t i, std::int64_t count) { return Terms{load_row(x + i, count)}; };
  if (columns == 1) {
    const auto [sum] = sums_of_row<T>(rows, at);
    *totals += sum;
    return;
  }
  const auto element = [at](std::int64_t i, std::int64_t, std::int64_t count) { return at(i, count); };
  constexpr std::int64_t narrow = 64;
  if (columns == 0 || columns >= narrow || rows < lanes_of<T>) return add_rows<T>(0, rows, columns, totals, element);
  const std::int64_t width = columns * lanes_of<T>, whole = rows / lanes_of<T> * width;
  double wide[narrow * lanes_of<T>];
  std::fill_n(wide, width, 0.0);
  add_rows<T>(0, rows / lanes_of<T>, width, wide, element);
  for (std::int64_t i = whole; i < rows * columns; ++i) wide[i - whole] += static_cast<double>(x[i]);
  for (std::int64_t half = width / 2; half >= columns; half /= 2)
    for (std::int64_t i = 0; i < half; ++i) wide[i] += wide[half + i];
  for (std::int64_t c = 0; c < columns; ++c) totals[c] += wide[c];
}

// The largest element, of n >= 1; of a row with a nan, that or any.
template <class T>
T largest_of(const T* x, std::int64_t n) {
  const auto larger = [](auto a, auto b) { return b > a ? b : a; };
  constexpr std::int64_t block = sum_block * lanes_of<T>;
  Lanes<T> largest = load_row(x, n, x[0]);
  std::int64_t i = 0;
  for (; i + block <= n; i += block)
    largest = larger(largest,
                     tree_of<sum_block>([&](int j) { return load_row(x + i + j * lanes_of<T>, lanes_of<T>); }, larger));
  for_each_lanes<T>(n - i, [&](std::int64_t at, std::int64_t count) {
    largest = larger(largest, load_row(x + i + at, count, x[0]));
  });
  return tree_of<lanes_of<T>>([&](int lane) { return lane_of(largest, lane); }, larger);
}

}  // namespace mixgrad::host
