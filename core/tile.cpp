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

void copy_panel(bool transposed, std::int64_t depth, std::int64_t columns, const float* from, std::int64_t row,
                float* panel) {
  const std::int64_t width = whole_vectors(columns);
  if (columns < width) std::fill_n(panel, depth * width, 0.0f);
  if (!transposed) {
    for (std::int64_t k = 0; k < depth; ++k) std::copy_n(from + k * row, columns, panel + k * width);
    return;
  }
  constexpr std::int64_t line = 16;  // numbers in a line of the cache, read at once: rows may be far apart
  for (std::int64_t first = 0; first < depth; first += line)
    for (std::int64_t j = 0; j < columns; ++j)
      for (std::int64_t k = first; k < std::min(first + line, depth); ++k) panel[k * width + j] = from[j * row + k];
}

}  // namespace mixgrad
