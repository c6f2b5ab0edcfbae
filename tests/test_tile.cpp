// Products of panels (core/tile.h): of any numbers of rows, columns and steps, against plain sums.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/random.h"
#include "core/tile.h"

using namespace mixgrad;
using namespace mixgrad::host;

namespace {

// Whole numbers up to 3 in a matrix, and where nothing may be read nan.
struct WholeNumbers {
  WholeNumbers(std::int64_t size) : numbers(static_cast<std::size_t>(size), std::numeric_limits<float>::quiet_NaN()) {}
  float& operator[](std::int64_t i) { return numbers[static_cast<std::size_t>(i)]; }
  std::vector<float> numbers;
};

std::int64_t rounded_up(std::int64_t n, std::int64_t block) { return (n + block - 1) / block * block; }

void check_product(bool transposed, std::int64_t rows, std::int64_t columns, std::int64_t depth, bool started) {
  CAPTURE(transposed);
  CAPTURE(rows);
  CAPTURE(columns);
  CAPTURE(depth);
  CAPTURE(started);
  Random random(static_cast<std::uint64_t>(rows * 1000 + depth));
  const auto number = [&] { return static_cast<float>(random.below(7)) - 3; };
  const auto at = [=](std::int64_t r, std::int64_t k) {
    if (transposed) return k * tile_columns + r;
    return r / panel_rows * panel_rows * rounded_up(depth, tile_columns) +
           k / tile_columns * panel_rows * tile_columns + r % panel_rows * tile_columns + k % tile_columns;
  };
  WholeNumbers a(transposed ? depth * tile_columns : rounded_up(rows, panel_rows) * rounded_up(depth, tile_columns));
  WholeNumbers b(depth * tile_columns), c(rows * tile_columns), before(rows * tile_columns);
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t k = 0; k < depth; ++k) a[at(r, k)] = number();
  for (std::int64_t k = 0; k < depth; ++k)
    for (std::int64_t j = 0; j < whole_vectors(columns); ++j) b[k * tile_columns + j] = number();
  for (std::int64_t i = 0; i < rows * tile_columns; ++i) before[i] = c[i] = started ? number() : c[i];
  multiply(PanelProduct{.a = a.numbers.data(),
                        .b = b.numbers.data(),
                        .next = b.numbers.data(),
                        .c = c.numbers.data(),
                        .rows = rows,
                        .columns = columns,
                        .depth = depth,
                        .transposed = transposed,
                        .started = started});
  int wrong = 0;
  for (std::int64_t r = 0; r < rows; ++r)
    for (std::int64_t j = 0; j < columns; ++j) {
      float sum = started ? before[r * tile_columns + j] : 0;
      for (std::int64_t k = 0; k < depth; ++k) sum += a[at(r, k)] * b[k * tile_columns + j];
      wrong += c[r * tile_columns + j] != sum;
    }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("tile: products of panels are plain sums, of all numbers of rows and columns, and depths around a block's") {
  for (const bool started : {false, true})
    for (const std::int64_t columns : {std::int64_t{1}, std::int64_t{lanes}, std::int64_t{lanes} + 1, tile_columns})
      for (const std::int64_t depth : {std::int64_t{1}, tile_columns - 1, tile_columns, tile_columns + 5,
                                       std::int64_t{192}, std::int64_t{193}, std::int64_t{450}}) {
        for (std::int64_t rows = 1; rows <= tile_columns; ++rows) check_product(true, rows, columns, depth, started);
        for (std::int64_t rows = 1; rows <= 2 * panel_rows + 1; ++rows)
          check_product(false, rows, columns, depth, started);
      }
}
