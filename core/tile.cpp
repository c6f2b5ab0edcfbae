#include "core/tile.h"

#ifdef __FMA__
#include <immintrin.h>
#endif

#include <algorithm>
#include <array>
#include <utility>

namespace mixgrad::host {
namespace {

// sum + a b, rounded once where the processor can. Said outright: for some processors g++ avoids it in the chain of a
// tile of one row, whose result would then differ from that of the same row in a larger tile.
[[gnu::always_inline]] inline Vector multiply_add(Vector a, Vector b, Vector sum) {
#if defined(__AVX512F__)
  return _mm512_fmadd_ps(a, b, sum);
#elif defined(__FMA__)
  return _mm256_fmadd_ps(a, b, sum);
#else
  return sum + a * b;
#endif
}

constexpr std::int64_t most_chain = 192;  // a longer sum is the sum of its parts (core/sums.h)

// The tile's sums, over `steps` at a time: a row's offset is read once for all of them.
template <int rows, int vectors, int steps>
[[gnu::always_inline]] inline void add_steps(const float* a, const volatile std::int64_t* a_rows,
                                             const std::int64_t* a_steps, const float* b, std::int64_t b_row,
                                             Vector (&sums)[rows][vectors]) {
  const float* from[steps];
  Vector columns[steps][vectors];
#pragma GCC unroll 4
  for (int k = 0; k < steps; ++k) {
    from[k] = a + a_steps[k];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) columns[k][v] = load(b + k * b_row + v * lanes);
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r) {
    const std::int64_t row = a_rows[r];
#pragma GCC unroll 4
    for (int k = 0; k < steps; ++k) {
      const Vector number = from[k][row] - Vector{};
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(number, columns[k][v], sums[r][v]);
    }
  }
}

// The sums over steps k to end - 1.
template <int rows, int vectors>
[[gnu::always_inline]] inline void add_products(const TileProduct& t, std::int64_t k, std::int64_t end,
                                                Vector (&sums)[rows][vectors]) {
  constexpr int steps = vectors == 1 ? 3 : 1;  // more would run out of registers
  // Volatile, so that a row's offset is read when it is used: the compiler would keep them all, spilling some into
  // vector registers, which takes a third more time.
  const volatile std::int64_t* a_rows = t.a_rows;
  for (; k + steps <= end; k += steps)
    add_steps<rows, vectors, steps>(t.a, a_rows, t.a_steps + k, t.b + k * t.b_row, t.b_row, sums);
  for (; steps > 1 && k < end; ++k)
    add_steps<rows, vectors, 1>(t.a, a_rows, t.a_steps + k, t.b + k * t.b_row, t.b_row, sums);
}
template <int rows, int vectors>
[[gnu::always_inline]] inline void add_products(const EvenTileProduct& t, std::int64_t k, std::int64_t end,
                                                Vector (&sums)[rows][vectors]) {
  for (; k < end; ++k) {
    Vector columns[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) columns[v] = load(t.b + k * t.b_row + v * lanes);
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Vector number = t.a[r * t.a_row + k * t.a_step] - Vector{};
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(number, columns[v], sums[r][v]);
    }
  }
}

std::int64_t c_row(const TileProduct& t, int r) { return t.c_rows[r]; }
std::int64_t c_row(const EvenTileProduct& t, int r) { return r * t.c_row; }

// `full`: the columns are whole vectors.
template <int rows, int vectors, bool full, class Product>
void multiply(const Product& t) {
  const auto columns_from = [&](int v) { return full ? lanes : t.columns - v * lanes; };
  const auto each = [](auto f) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) f(r, v);
  };
  Vector sums[rows][vectors] = {};
  add_products(t, 0, std::min(t.depth, most_chain), sums);
  if (t.depth > most_chain) {
    Vector parts[rows][vectors] = {};
    for (std::int64_t k = most_chain; k < t.depth; k += most_chain) {
      each([&](int r, int v) { parts[r][v] += std::exchange(sums[r][v], Vector{}); });
      add_products(t, k, std::min(t.depth, k + most_chain), sums);
    }
    each([&](int r, int v) { sums[r][v] += parts[r][v]; });
  }
  // Last: otherwise products would be added one by one to what may already be a large sum.
  if (t.start) each([&](int r, int v) { sums[r][v] += load(t.start + r * t.start_row + v * lanes, columns_from(v)); });
  if (t.relu) each([&](int r, int v) { sums[r][v] = sums[r][v] <= Vector{} ? Vector{} : sums[r][v]; });
  each([&](int r, int v) { store(t.c + c_row(t, r) + v * lanes, sums[r][v], columns_from(v)); });
}

template <class Product, int vectors, bool full, std::size_t... r>
constexpr auto by_rows(std::index_sequence<r...>) {
  return std::array<void (*)(const Product&), sizeof...(r)>{
      multiply<static_cast<int>(r) + 1, vectors, full, Product>...};
}

template <class Product, bool full>
constexpr auto narrow = by_rows<Product, 1, full>(std::make_index_sequence<most_rows(1)>());
template <class Product, bool full>
constexpr auto wide = by_rows<Product, 2, full>(std::make_index_sequence<most_rows(tile_columns)>());

template <class Product>
void multiply_by_rows(const Product& t) {
  const auto rows = static_cast<std::size_t>(t.rows - 1);
  if (t.columns <= lanes) (t.columns == lanes ? narrow<Product, true> : narrow<Product, false>)[rows](t);
  else (t.columns == tile_columns ? wide<Product, true> : wide<Product, false>)[rows](t);
}

template <bool transposed, int rows, int vectors, int steps>
[[gnu::always_inline]] inline void add_panel_steps(const float* a, const float* b, Vector (&sums)[rows][vectors]) {
#pragma GCC unroll 32
  for (int k = 0; k < steps; ++k) {
    Vector columns[vectors];
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) columns[v] = in_register(load(b + k * tile_columns + v * lanes));
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) {
      const Vector number = in_register(a[transposed ? k * tile_columns + r : r * tile_columns + k] - Vector{});
#pragma GCC unroll 2
      for (int v = 0; v < vectors; ++v) sums[r][v] = multiply_add(number, columns[v], sums[r][v]);
    }
  }
}

template <bool transposed, int rows, int vectors>
void multiply_panels(const float* a, const float* b, float* c, std::int64_t depth, bool started) {
  Vector sums[rows][vectors] = {};
  constexpr std::int64_t a_step = transposed ? tile_columns : 1, block = tile_columns * tile_columns;
  for (; depth >= tile_columns; depth -= tile_columns, a += transposed ? block : panel_rows * tile_columns, b += block)
    add_panel_steps<transposed, rows, vectors, tile_columns>(a, b, sums);
  for (; depth > 0; --depth, a += a_step, b += tile_columns) add_panel_steps<transposed, rows, vectors, 1>(a, b, sums);
#pragma GCC unroll 16
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) {
      float* const to = c + r * tile_columns + v * lanes;
      store(to, started ? sums[r][v] + load(to) : sums[r][v]);
    }
}
template <bool transposed, int vectors, std::size_t... r>
constexpr auto panels_by_rows(std::index_sequence<r...>) {
  return std::array{multiply_panels<transposed, static_cast<int>(r) + 1, vectors>...};
}

// Memory that is needed soon, for the second cache. Always inlined: g++ removes calls of functions that do nothing
// else.
[[gnu::always_inline]] inline void prefetch(const float* from, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += 16) __builtin_prefetch(from + i, 0, 2);
}

template <bool transposed, int vectors>
void multiply_panels(const PanelProduct& p) {
  static constexpr auto by_rows = panels_by_rows<transposed, vectors>(std::make_index_sequence<panel_rows>());
  const std::int64_t tiles = (p.rows + panel_rows - 1) / panel_rows;
  const std::int64_t a_tile = (p.depth + tile_columns - 1) / tile_columns * tile_columns * panel_rows;
  for (std::int64_t k = 0; k < p.depth; k += most_chain) {
    const std::int64_t depth = std::min(p.depth - k, most_chain), size = p.depth * tile_columns;
    for (std::int64_t tile = 0; tile < tiles; ++tile) {
      const std::int64_t row = transposed ? tile * p.rows / tiles : tile * panel_rows;
      const std::int64_t end = transposed ? (tile + 1) * p.rows / tiles : std::min(row + panel_rows, p.rows);
      if (p.next && k == 0) prefetch(p.next + tile * size / tiles, size / tiles);
      by_rows[static_cast<std::size_t>(end - row - 1)](
          transposed ? p.a + k * tile_columns + row : p.a + tile * a_tile + k * panel_rows, p.b + k * tile_columns,
          p.c + row * tile_columns, depth, p.started || k > 0);
    }
  }
}

}  // namespace

void multiply(const TileProduct& tile) { multiply_by_rows(tile); }
void multiply(const EvenTileProduct& tile) { multiply_by_rows(tile); }
void multiply(const PanelProduct& p) {
  if (p.columns > lanes) p.transposed ? multiply_panels<true, 2>(p) : multiply_panels<false, 2>(p);
  else p.transposed ? multiply_panels<true, 1>(p) : multiply_panels<false, 1>(p);
}

void copy_panel(bool transposed, std::int64_t depth, std::int64_t columns, const float* from, std::int64_t row,
                float* panel) {
  const std::int64_t width = whole_vectors(columns);
  if (transposed) return copy_transposed(depth, columns, from, row, panel, width, width);
  if (columns < width) std::fill_n(panel, depth * width, 0.0f);
  for (std::int64_t k = 0; k < depth; ++k) copy_row(from + k * row, nullptr, columns, panel + k * width);
}

void copy_transposed(std::int64_t depth, std::int64_t columns, const float* from, std::int64_t row, float* to,
                     std::int64_t to_row, std::int64_t width) {
  for (std::int64_t first = 0; first < depth; first += lanes)
    for (std::int64_t j = 0; j < columns; j += lanes) {
      Vector square[lanes];
      for (int i = 0; i < lanes; ++i)
        square[i] = j + i < columns ? load(from + (j + i) * row + first, depth - first) : Vector{};
      transpose_square(square);
      for (std::int64_t k = first; k < std::min(first + lanes, depth); ++k)
        store(to + k * to_row + j, square[k - first], width - j);
    }
}

}  // namespace mixgrad::host
