// The product that the CPU's convolutions consist of (private): a tile of the result that stays in registers while it
// is summed.
//
//   c(r, j) = start(r, j) + sum over k < depth of a(r, k) b(k, j)      r < rows, j < columns
//
//   a(r, k) = a[a_rows[r] + a_steps[k]]
//   b(k, j) = b[k * b_row + j]
//   start(r, j) = start[r * start_row + j], or 0 where start is null
//   c(r, j) = c[c_rows[r] + j]
//
// A long sum is split into parts: for equal terms its relative error is below (48 + depth / 768) * 2^-24.
//
// Elements of `a` are broadcast, and may lie anywhere: the pixels under a convolution's kernel need not be copied side
// by side. Rows of `b` are read as whole vectors.
#pragma once

#include <cstdint>

#include "core/simd.h"

namespace mixgrad::host {

inline constexpr std::int64_t tile_columns = 2 * lanes;
// How many rows a tile may have: their sums take at most three quarters of the 32 or 16 registers; at one vector each,
// more than 16 gain nothing.
constexpr std::int64_t most_rows(std::int64_t columns) {
#if defined(__AVX512F__) || defined(__aarch64__)
  return columns <= lanes ? 16 : 12;
#else
  return columns <= lanes ? 12 : 6;
#endif
}

struct TileProduct {
  const float* a;
  const std::int64_t* a_rows;
  const std::int64_t* a_steps;
  const float* b;
  std::int64_t b_row;
  const float* start = nullptr;
  std::int64_t start_row = 0;
  float* c;
  const std::int64_t* c_rows;
  std::int64_t rows, columns, depth;  // 1 to most_rows(columns), 1 to tile_columns, any
  bool relu = false;                  // c(r, j) = max(that, 0)
};

void multiply(const TileProduct& tile);

// The same where elements lie evenly, which is faster, as no offsets are read: a(r, k) = a[r * a_row + k * a_step] and
// c(r, j) = c[r * c_row + j].
struct EvenTileProduct {
  const float* a;
  std::int64_t a_row, a_step;
  const float* b = nullptr;
  std::int64_t b_row = 0;
  const float* start = nullptr;
  std::int64_t start_row = 0;
  float* c = nullptr;
  std::int64_t c_row = 0;
  std::int64_t rows = 0, columns = 0, depth = 0;
  bool relu = false;
};

void multiply(const EvenTileProduct& tile);

// The same for panels: what a tile reads is one run of memory, and one call goes through many rows.
//
//   c(r, j) = sum over k < depth of a(r, k) b(k, j), added to c where `started`      r < rows, j < columns
//
//   b [depth, tile_columns], c [rows, tile_columns]
//   a [rows / panel_rows, depth / tile_columns, panel_rows, tile_columns] or, of at most tile_columns rows,
//     transposed [depth, tile_columns]
//
// where the numbers of blocks are rounded up. The depth is at least 1. Columns are computed and written up to whole
// vectors, so b must have numbers there. next: the b of the next call, to be prefetched, or null.
inline constexpr std::int64_t panel_rows = most_rows(tile_columns);
struct PanelProduct {
  const float *a, *b, *next = nullptr;
  float* c;
  std::int64_t rows, columns, depth;
  bool transposed = false, started = false;
};
void multiply(const PanelProduct& panels);

// Copies b(k, j) = from[k * row + j], or where `transposed` from[j * row + k], k < depth, j < columns, into the layout
// a tile reads best: adjacent rows, [depth, width] in whole vectors, padded with zeros.
void copy_panel(bool transposed, std::int64_t depth, std::int64_t columns, const float* from, std::int64_t row,
                float* panel);
// The latter with rows at any distance, and with zeros only up to `width` columns.
void copy_transposed(std::int64_t depth, std::int64_t columns, const float* from, std::int64_t row, float* to,
                     std::int64_t to_row, std::int64_t width);

// Calls f(first, count) for the fewest parts of 0..n-1 of at most `most`, evenly sized.
template <class F>
void for_each_part(std::int64_t n, std::int64_t most, F&& f) {
  const std::int64_t parts = (n + most - 1) / most;
  for (std::int64_t part = 0; part < parts; ++part) {
    const std::int64_t first = part * n / parts;
    f(first, (part + 1) * n / parts - first);
  }
}

}  // namespace mixgrad::host
