// What differs from one training step to the next, where a captured step (core/graph.h) finds and leaves it: values
// that the host decides ahead (StepTable), the numbers of random streams, and values that the device computes (Series).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/random.h"
#include "core/scope.h"
#include "core/tensor.h"

namespace mixgrad {

// Small tensors whose value changes with each step, such as the indices of a batch's samples, mixup's lambda, the
// learning rate. The host decides them many steps ahead and uploads them at once; on the device one kernel per step
// copies the next row of the table to a fixed place, where the kernels of a captured step find it.
//
//   StepTable table(cuda, 100);
//   Tensor lambda;                                             // the same tensor for each row
//   for (const auto& plan : plans) lambda = table.begin_row().put(plan.lambda);
//   table.upload();
//   for (...) { table.next(); ... kernels that read lambda ... }
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

 private:
  Device device_;
  std::int64_t most_rows_, rows_ = 0;
  std::vector<Tensor> places_;        // one for each value of a row
  std::size_t filled_ = 0;            // values in this row
  std::vector<std::int32_t> values_;  // of all rows, as bits
  Tensor table_;                      // i32 [most_rows, words of a row]
  Tensor row_;                        // i32 [1]: the next row
};

// Rows of values that the device computes, one row per step, and that the host reads in batches. Appending does not
// wait, and can be captured.
//
//   Series losses(cuda, 1, 64);
//   for (...) losses.append({loss});
//   for (double loss : losses.take()) ...
class Series : NonCopyable {
 public:
  // Holds up to `rows` rows of `columns` values until they are taken; rows appended beyond that are lost.
  Series(Device device, std::int64_t columns, std::int64_t rows);
  // One f32 value for each column. Throws on any other count, and on more than 64 on a GPU.
  void append(const std::vector<Tensor>& row);
  // All rows appended since the last call, one after the other; waits for the device.
  std::vector<double> take();

 private:
  Tensor rows_, count_;  // f32 [rows, columns]; i32 [1]: how many are filled
};

// The random stream of what draws while it computes, such as dropout: streams are numbered in the order in which they
// are taken, so that the same program draws the same.
struct StepStream {
  std::uint64_t seed;
  std::uint32_t number;  // since manual_seed; more than the number in `first`, where it is defined
  Tensor first;          // i32 [1] (as unsigned) in the memory of the device
};

// The next one, of the default seed. Combined with a Purpose of its own it is whoever asked's alone.
StepStream next_step_stream();

// While it lives, streams are counted from a number in the memory of the device: for a step that is captured, to be
// replayed with another number. random_state() still advances.
class StepStreamsFrom : NonCopyable {
 public:
  explicit StepStreamsFrom(const Tensor& first);

 private:
  Temporarily<Tensor> first_;
  Temporarily<std::uint32_t> begin_;
};

namespace kernels {
// Copies a row of a table [rows, words] of four-byte elements: table[row] to the values, one after the other, or, with
// `append`, the values to table[row]. Does so if there is such a row; then row += 1.
MIXGRAD_KERNEL(copy_row, bool append, const Tensor& table, std::span<const Tensor> values, const Tensor& row);
}  // namespace kernels

}  // namespace mixgrad
