#include "core/tile.h"

#include <algorithm>
#include <array>
#include <utility>

namespace mixgrad {
namespace {

template <int rows, int vectors>
void multiply(const Tile& t) {
  Vector sums[rows][vectors];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v)
      sums[r][v] = t.start ? load(t.start + r * t.start_row + v * lanes, t.columns - v * lanes) : Vector{};
  // Volatile, so that a row's offset is read when it is used: the compiler would keep more of them than there are
  // registers, the rest in vectors, which takes a third more time.
  const volatile std::int64_t* a_rows = t.a_rows;
  const float* b = t.b;
  const std::int64_t b_row = t.b_row;
  for (const std::int64_t *step = t.a_steps, *end = step + t.depth; step < end; ++step, b += b_row) {
    const float* a = t.a + *step;
    Vector column[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) column[v] = load(b + v * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const float number = a[a_rows[r]];
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] += number * column[v];
    }
  }
  if (t.relu)
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = sums[r][v] <= Vector{} ? Vector{} : sums[r][v];
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) store(t.c + t.c_rows[r] + v * lanes, sums[r][v], t.columns - v * lanes);
}

using Multiply = void (*)(const Tile&);

template <int vectors, std::size_t... r>
constexpr std::array<Multiply, sizeof...(r)> by_rows(std::index_sequence<r...>) {
  return {multiply<static_cast<int>(r) + 1, vectors>...};
}

constexpr auto multiply_narrow = by_rows<1>(std::make_index_sequence<most_rows(1)>());
constexpr auto multiply_wide = by_rows<2>(std::make_index_sequence<most_rows(tile_columns)>());

}  // namespace

void multiply(const Tile& t) {
  const auto rows = static_cast<std::size_t>(t.rows - 1);
  (t.columns <= lanes ? multiply_narrow[rows] : multiply_wide[rows])(t);
}

namespace {

// The numbers of a and b by turns: of their first halves, or of their second.
template <bool second, std::size_t... i>
Vector interleave(Vector a, Vector b, std::index_sequence<i...>) {
  return __builtin_shufflevector(a, b,
                                 (static_cast<int>(i % 2) * lanes + static_cast<int>(i / 2) + second * lanes / 2)...);
}

// Each step rotates the bits of a number's place, row and column side by side, by one: log2(lanes) of them swap the
// two.
void transpose(Vector (&rows)[lanes]) {
  constexpr auto all = std::make_index_sequence<lanes>();
  for (int step = 1; step < lanes; step *= 2) {
    Vector next[lanes];
#pragma GCC unroll 8
    for (int i = 0; i < lanes / 2; ++i) {
      next[2 * i] = interleave<false>(rows[i], rows[i + lanes / 2], all);
      next[2 * i + 1] = interleave<true>(rows[i], rows[i + lanes / 2], all);
    }
    std::copy_n(next, lanes, rows);
  }
}

}  // namespace

void copy_panel(bool transposed, std::int64_t depth, std::int64_t columns, const float* from, std::int64_t row,
                float* panel) {
  const std::int64_t width = whole_vectors(columns);
  if (!transposed) {
    if (columns < width) std::fill_n(panel, depth * width, 0.0f);
    for (std::int64_t k = 0; k < depth; ++k) copy_row(from + k * row, nullptr, columns, panel + k * width);
    return;
  }
  for (std::int64_t first = 0; first < depth; first += lanes)
    for (std::int64_t j = 0; j < columns; j += lanes) {
      Vector square[lanes];
      for (int i = 0; i < lanes; ++i)
        square[i] = j + i < columns ? load(from + (j + i) * row + first, depth - first) : Vector{};
      transpose(square);
      for (std::int64_t k = first; k < std::min(first + lanes, depth); ++k)
        store(panel + k * width + j, square[k - first]);
    }
}

}  // namespace mixgrad
