// StepTable (private): small tensors whose value changes with each step, such as the indices of a batch's samples,
// mixup's lambda, the learning rate. The host decides them many steps ahead and uploads them at once; on the device one
// kernel per step copies the next row of the table to a fixed place, where the kernels of a captured step
// (core/graph.h) find it.
//
//   StepTable table(cuda, 100);
//   Tensor lambda;                                             // the same tensor for each row
//   for (const auto& plan : plans) lambda = table.begin_row().put(plan.lambda);
//   table.upload();
//   for (...) { table.next(); ... kernels that read lambda ... }
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"

namespace mixgrad {

class StepTable : NonCopyable {
 public:
  StepTable(Device device, std::int64_t most_rows) : device_(device), most_rows_(most_rows) {}

  // Rows are put in order, each with as many values of the same shapes and dtypes as the first. Throws otherwise, or on
  // more than most_rows.
  StepTable& begin_row();
  // Adds a value, f32 or i32 on the CPU, to this row. The tensor returned, on the device, holds it once next() has
  // reached the row.
  Tensor put(const Tensor& value);
  void upload();  // all rows; the first is next
  void next();    // queues the kernel
  void clear();   // drops the rows; the tensors that put() returned stay where they are

  std::int64_t rows() const { return rows_; }

 private:
  Device device_;
  std::int64_t most_rows_, rows_ = 0;
  std::vector<Tensor> places_;        // one for each value of a row
  std::size_t filled_ = 0;            // values in this row
  std::vector<std::int32_t> values_;  // of all rows, as bits
  Tensor table_;                      // i32 [most_rows, words of a row]
  Tensor row_;                        // i32 [1]: the next row
};

namespace kernels {
// Copies row `row` of a table i32 [rows, words] to the places, one after the other; then row += 1.
MIXGRAD_KERNEL(next_row, const Tensor& table, const std::vector<Tensor>& places, const Tensor& row);
}  // namespace kernels

}  // namespace mixgrad
