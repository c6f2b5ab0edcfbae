#include "core/step_values.h"

#include <algorithm>
#include <cstring>

#include "core/view.h"

namespace mixgrad {

StepTable& StepTable::begin_row() {
  check(rows_ == 0 || filled_ == places_.size(), "step table: row ", rows_ - 1, " has ", filled_,
        " values, the first has ", places_.size());
  check(rows_ < most_rows_, "step table: more than ", most_rows_, " rows");
  ++rows_;
  filled_ = 0;
  return *this;
}

Tensor StepTable::put(const Tensor& value) {
  constexpr std::size_t word = sizeof(std::int32_t);
  check(size_of(value.dtype()) == word, "step table: holds f32 and i32, not ", name_of(value.dtype()));
  if (!table_ && rows_ == 1 && filled_ == places_.size())  // cleared before it was uploaded, it has its places already
    places_.push_back(Tensor::empty(value.shape(), {value.dtype(), device_}));
  check(filled_ < places_.size(), "step table: row ", rows_ - 1, " has more values than the first");
  const Tensor& place = places_[filled_++];
  check(value.shape() == place.shape() && value.dtype() == place.dtype(), "step table: value ", filled_ - 1, " is ",
        name_of(place.dtype()), place.shape(), " in the first row, ", name_of(value.dtype()), value.shape(), " in row ",
        rows_ - 1);
  const std::size_t words = values_.size();
  values_.resize(words + value.num_bytes() / word);
  std::memcpy(values_.data() + words, value.data<std::byte>(), value.num_bytes());
  return place;
}

void StepTable::upload() {
  if (rows_ == 0) return;
  check(filled_ == places_.size(), "step table: the last row has ", filled_, " values, the first has ", places_.size());
  const std::int64_t words = std::ssize(values_) / rows_;
  if (!table_) {
    table_ = Tensor::empty({most_rows_, words}, {DType::i32, device_});
    row_ = Tensor::empty({1}, {DType::i32, device_});
  }
  table_.raw_view({rows_, words}, 0).copy_(Tensor::from(values_, {rows_, words}));
  row_.fill_(0);
}

void StepTable::next() {
  dispatch("next_row", device_, [&](auto device) { kernels::copy_row(device, false, table_, places_, row_); });
}

void StepTable::clear() {
  rows_ = 0;
  filled_ = places_.size();
  values_.clear();
}

Series::Series(Device device, std::int64_t columns, std::int64_t rows)
    : rows_(Tensor::empty({rows, columns}, {.device = device})),
      count_(Tensor::zeros({1}, {.dtype = DType::i32, .device = device})) {}

void Series::append(const std::vector<Tensor>& row) {
  check(std::ssize(row) == rows_.size(1), "series: ", row.size(), " values for ", rows_.size(1), " columns");
  std::vector<Tensor> values;
  for (const Tensor& value : row) {
    check(value.numel() == 1, "series: a value of shape ", value.shape(), " is not a single element");
    values.push_back(value.detach().to(rows_.device()).to(DType::f32));
  }
  dispatch("append_row", rows_.device(), [&](auto device) { kernels::copy_row(device, true, rows_, values, count_); });
}

std::vector<double> Series::take() {
  const std::int64_t filled = std::min<std::int64_t>(count_.to_vector<std::int32_t>()[0], rows_.size(0));
  const auto values = slice(rows_, 0, filled).to_vector<float>();
  count_.fill_(0);
  return {values.begin(), values.end()};
}

namespace {
thread_local Tensor first_on_device;
thread_local std::uint32_t begin = 0;  // random_state().streams when it was set
}  // namespace

StepStreamsFrom::StepStreamsFrom(const Tensor& first)
    : first_(first_on_device, first), begin_(begin, random_state().streams) {}

StepStream next_step_stream() { return {default_seed(), random_state().streams++ - begin, first_on_device}; }

namespace kernels {

void copy_row(Cpu, bool append, const Tensor& table, std::span<const Tensor> values, const Tensor& row) {
  std::int32_t& index = *row.mutable_data<std::int32_t>();
  if (index < table.size(0)) {
    std::byte* at = table.mutable_data<std::byte>() + index * table.size(1) * 4;
    for (const Tensor& value : values) {
      if (append) std::memcpy(at, value.data<std::byte>(), value.num_bytes());
      else std::memcpy(value.mutable_data<std::byte>(), at, value.num_bytes());
      at += value.num_bytes();
    }
  }
  ++index;
}

}  // namespace kernels
}  // namespace mixgrad
