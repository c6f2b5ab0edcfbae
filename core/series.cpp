#include "core/series.h"

#include <algorithm>

#include "core/view.h"

namespace mixgrad {

Series::Series(Device device, std::int64_t columns, std::int64_t rows)
    : rows_(Tensor::empty({rows, columns}, {.device = device})),
      count_(Tensor::zeros({1}, {.dtype = DType::i32, .device = device})) {
  check(columns <= most_columns, "series: ", columns, " columns are more than ", most_columns);
}

void Series::append(std::span<const Tensor> row) {
  check(std::ssize(row) == rows_.size(1), "series: ", row.size(), " values for ", rows_.size(1), " columns");
  std::vector<Tensor> values;
  for (const Tensor& value : row) {
    check(value.numel() == 1, "series: a value of shape ", value.shape(), " is not a single element");
    values.push_back(value.detach().to(rows_.device()).to(DType::f32));
  }
  dispatch("append_row", rows_.device(), [&](auto device) { kernels::append_row(device, values, rows_, count_); });
}

std::vector<double> Series::take() {
  const std::int64_t filled = std::min<std::int64_t>(count_.to_vector<std::int32_t>()[0], rows_.size(0));
  const auto values = slice(rows_, 0, filled).to_vector<float>();
  count_.fill_(0);
  return {values.begin(), values.end()};
}

namespace kernels {

void append_row(Cpu, std::span<const Tensor> values, const Tensor& rows, const Tensor& count) {
  std::int32_t& filled = *count.mutable_data<std::int32_t>();
  if (filled < rows.size(0))
    for (std::size_t i = 0; i < values.size(); ++i)
      rows.mutable_data<float>()[filled * rows.size(1) + static_cast<std::int64_t>(i)] = *values[i].data<float>();
  ++filled;
}

}  // namespace kernels
}  // namespace mixgrad
