// Series: rows of values that the device computes, one row per step, and that the host reads in batches. Appending does
// not wait, and can be captured (core/graph.h).
//
//   Series losses(cuda, 1, 64);
//   for (...) losses.append({loss});
//   for (double loss : losses.take()) ...
#pragma once

#include <initializer_list>
#include <span>
#include <vector>

#include "core/tensor.h"

namespace mixgrad {

class Series : NonCopyable {
 public:
  static constexpr std::int64_t most_columns = 64;
  // Holds up to `rows` rows of `columns` values until they are taken; rows appended beyond that are lost. Throws on
  // more than most_columns.
  Series(Device device, std::int64_t columns, std::int64_t rows);
  // One f32 value for each column. Throws on any other count.
  void append(std::span<const Tensor> row);
  void append(std::initializer_list<Tensor> row) { append(std::span(row.begin(), row.size())); }
  // All rows appended since the last call, one after the other; waits for the device.
  std::vector<double> take();

 private:
  Tensor rows_, count_;  // f32 [rows, columns]; i32 [1]: how many are filled
};

namespace kernels {
// rows[count] = values, unless rows are full; count += 1
MIXGRAD_KERNEL(append_row, std::span<const Tensor> values, const Tensor& rows, const Tensor& count);
}  // namespace kernels

}  // namespace mixgrad
