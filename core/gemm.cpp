#include "core/gemm.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/eigen.h"
#include "core/parallel.h"
#include "core/tile.h"

namespace mixgrad::host {
namespace {

// A product of so few multiply-adds stays whole; a larger one is shared in at least so many units of work.
constexpr std::int64_t small = std::int64_t{1} << 17, least_units = 8;
// So many rows of A, in a part of the depth, leave room in the second cache.
constexpr std::int64_t few_rows = 128;

// Copies a(r, k) = from[r * row + k] as [rows, depth], or where `transposed` a(r, k) = from[k * row + r] as [depth,
// rows]; then up to a vector more is written, and a row of `from` has `left` elements.
void pack_rows(bool transposed, std::int64_t rows, std::int64_t depth, const float* from, std::int64_t row,
               std::int64_t left, float* to) {
  if (!transposed)
    for (std::int64_t r = 0; r < rows; ++r) copy_row(from + r * row, nullptr, depth, to + r * depth);
  else
    for (std::int64_t k = 0; k < depth; ++k)
      for (std::int64_t r = 0; r < rows; r += lanes) store(to + k * rows + r, load(from + k * row + r, left - r));
}

}  // namespace

template <>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const double* a,
          std::int64_t lda, const double* b, std::int64_t ldb, double* c, std::int64_t ldc) {
  // Blocks of rows of C, or of columns when there are more of those.
  const std::int64_t longest = std::max(m, n);
  const std::int64_t block =
      m * n * k <= small ? std::max<std::int64_t>(longest, 1) : std::clamp<std::int64_t>(longest / 512 * 64, 64, 256);
  parallel_for(longest, block, [=](std::int64_t begin, std::int64_t end) {
    const std::int64_t rows = n >= m ? m : end - begin, columns = n >= m ? end - begin : n;
    const double* const from_a = n >= m ? a : a + begin * (transpose_a ? 1 : lda);
    const double* const from_b = n >= m ? b + begin * (transpose_b ? ldb : 1) : b;
    const ConstMatrixMap<double> A(from_a, transpose_a ? k : rows, transpose_a ? rows : k, Eigen::OuterStride<>(lda));
    const ConstMatrixMap<double> B(from_b, transpose_b ? columns : k, transpose_b ? k : columns,
                                   Eigen::OuterStride<>(ldb));
    MatrixMap<double> C(n >= m ? c + begin : c + begin * ldc, rows, columns, Eigen::OuterStride<>(ldc));
    C.setZero();
    if (transpose_a && transpose_b) C.noalias() += A.transpose() * B.transpose();
    else if (transpose_a) C.noalias() += A.transpose() * B;
    else if (transpose_b) C.noalias() += A * B.transpose();
    else C.noalias() += A * B;
  });
}

template <>
void gemm(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const float* a,
          std::int64_t lda, const float* b, std::int64_t ldb, float* c, std::int64_t ldc) {
  if (m == 0 || n == 0) return;
  constexpr std::int64_t most_depth = 384, panels_at_once = 8;
  const std::int64_t a_row = transpose_a ? 1 : lda, a_step = transpose_a ? lda : 1;
  // A long sum is split into parts, whose sums are added in f64 (core/sums.h).
  constexpr std::int64_t most_chain = 3072;
  if (k > most_chain) {
    const Scratch<double> total(m * n);
    double* const totals = total.data();
    const auto each = [=](auto f) {
      parallel_for(m, rows_per_range(n, 1 << 14), [=](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
          for (std::int64_t j = 0; j < n; ++j) f(totals[i * n + j], c[i * ldc + j]);
      });
    };
    std::fill_n(totals, m * n, 0.0);
    for_each_part(k, most_chain, [&](std::int64_t first, std::int64_t count) {
      gemm(transpose_a, transpose_b, m, n, count, a + first * a_step, lda, b + first * (transpose_b ? 1 : ldb), ldb, c,
           ldc);
      each([](double& sum, float value) { sum += value; });
    });
    return each([](double sum, float& value) { value = static_cast<float>(sum); });
  }
  const std::int64_t panels = num_ranges(n, tile_columns), most = most_rows(std::min(n, tile_columns));
  const std::int64_t tiles = num_ranges(m, most);
  const auto first_row = [=](std::int64_t tile) { return tile * m / tiles; };
  const auto pack_panel = [=](std::int64_t p, std::int64_t first, std::int64_t depth, float* to) {
    const std::int64_t j = p * tile_columns;
    copy_panel(transpose_b, depth, std::min(n - j, tile_columns),
               transpose_b ? b + j * ldb + first : b + first * ldb + j, ldb, to);
  };
  // A tile of C: rows of A, where they are, by a packed panel of B; added to C unless the depth begins here.
  const auto tile_of = [=](std::int64_t tile, std::int64_t p, std::int64_t first, std::int64_t depth,
                           const float* panel) {
    const std::int64_t i = first_row(tile), j = p * tile_columns, columns = std::min(n - j, tile_columns);
    float* const to = c + i * ldc + j;
    return EvenTileProduct{.a = a + i * a_row + first * a_step,
                           .a_row = a_row,
                           .a_step = a_step,
                           .b = panel,
                           .b_row = whole_vectors(columns),
                           .start = first > 0 ? to : nullptr,
                           .start_row = ldc,
                           .c = to,
                           .c_row = ldc,
                           .rows = first_row(tile + 1) - i,
                           .columns = columns,
                           .depth = depth};
  };
  const auto for_each_depth = [=](auto f) {
    for_each_part(std::max<std::int64_t>(k, 1), most_depth,
                  [&](std::int64_t first, std::int64_t count) { f(first, std::min(count, k)); });
  };
  // Few rows, which stay in the second cache: each panel is packed, multiplied by all of them, and forgotten, so that
  // threads share nothing and do not wait for each other.
  const bool is_small = m * n * k <= small;
  if (is_small || (m <= few_rows && panels >= least_units))
    return parallel_for(panels, is_small ? panels : num_ranges(panels, 2 * least_units),
                        [=](std::int64_t begin, std::int64_t end) {
                          const Scratch<> packed(tile_columns * std::min(k, most_depth));
                          for_each_depth([&, pb = packed.data()](std::int64_t first, std::int64_t depth) {
                            for (std::int64_t p = begin; p < end; ++p) {
                              pack_panel(p, first, depth, pb);
                              for (std::int64_t t = 0; t < tiles; ++t) multiply(tile_of(t, p, first, depth, pb));
                            }
                          });
                        });
  // Otherwise, for each part of the depth, the panels of B are packed, and then groups of rows of A, which are
  // multiplied by them:
  //
  //     A                      B, in panels           C
  //
  //     [ . . . . . ]          [ . . | . . | . . ]    [ . . | . . | . . ]     a tile: rows of A by a panel of B,
  //   - [ . . . . . ] -        [ . . | . . | . . ]    [ . . | . . | . . ]     summed in registers; its rows stay in the
  //     [ . . . . . ]          [ . . | . . | . . ]    [ . . | . . | . . ]     first cache for some panels, which, as a
  //     [ . . . . . ]          [ . . | . . | . . ]    [ . . | . . | . . ]     group of rows, stay in the second
  //
  // Rows that meet few panels are read where they are.
  const bool packs_rows = n >= 4 * tile_columns;
  const std::int64_t tile_size = most * std::min(k, most_depth) + lanes;
  const std::int64_t groups = std::max(num_ranges(tiles, 16), std::min(tiles, least_units));
  const std::int64_t parts = std::min(num_ranges(least_units, groups), panels);  // of the panels
  const Scratch<> packed(whole_vectors(n) * std::min(k, most_depth));
  for_each_depth([&, pb = packed.data()](std::int64_t first, std::int64_t depth) {
    parallel_for(panels, rows_per_range(depth * tile_columns, 1 << 13), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) pack_panel(p, first, depth, pb + p * tile_columns * depth);
    });
    parallel_for(groups * parts, 1, [=](std::int64_t unit, std::int64_t) {
      const std::int64_t group = unit / parts, part = unit % parts;
      const std::int64_t first_tile = group * tiles / groups, end_tile = (group + 1) * tiles / groups;
      const Scratch<> packed_rows(packs_rows ? (end_tile - first_tile) * tile_size : 0);
      float* const pa = packed_rows.data();
      // Some steps of all tiles at a time where they are rows of A, of which a tile takes only a part.
      const std::int64_t steps = transpose_a ? 16 : depth;
      for (std::int64_t s = 0; s < depth && packs_rows; s += steps)
        for (std::int64_t t = first_tile; t < end_tile; ++t) {
          const std::int64_t i = first_row(t), rows = first_row(t + 1) - i;
          pack_rows(transpose_a, rows, std::min(steps, depth - s), a + i * a_row + (first + s) * a_step, lda, m - i,
                    pa + (t - first_tile) * tile_size + s * rows);
        }
      const std::int64_t first_panel = part * panels / parts, end_panel = (part + 1) * panels / parts;
      for_each_part(end_panel - first_panel, panels_at_once, [&](std::int64_t some, std::int64_t some_panels) {
        for (std::int64_t t = first_tile; t < end_tile; ++t)
          for (std::int64_t p = first_panel + some; p < first_panel + some + some_panels; ++p) {
            EvenTileProduct tile = tile_of(t, p, first, depth, pb + p * tile_columns * depth);
            if (packs_rows) {
              tile.a = pa + (t - first_tile) * tile_size;
              tile.a_row = transpose_a ? 1 : depth;
              tile.a_step = transpose_a ? tile.rows : 1;
            }
            multiply(tile);
          }
      });
    });
  });
}

}  // namespace mixgrad::host
