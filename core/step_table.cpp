#include "core/step_table.h"

#include <cstring>

namespace mixgrad {
namespace {

constexpr std::size_t word = sizeof(std::int32_t);

// Calls f with the elements of a tensor of a four-byte type.
template <class F>
void with_words(const Tensor& x, F f) {
  if (x.dtype() == DType::f32) return f(x.data<float>());
  check(x.dtype() == DType::i32, "step table: holds f32 and i32, not ", name_of(x.dtype()));
  f(x.data<std::int32_t>());
}

}  // namespace

StepTable& StepTable::begin_row() {
  check(rows_ == 0 || filled_ == places_.size(), "step table: row ", rows_ - 1, " has ", filled_,
        " values, the first has ", places_.size());
  check(rows_ < most_rows_, "step table: more than ", most_rows_, " rows");
  ++rows_;
  filled_ = 0;
  return *this;
}

Tensor StepTable::put(const Tensor& value) {
  if (!table_ && rows_ == 1) places_.push_back(Tensor::empty(value.shape(), {value.dtype(), device_}));
  check(filled_ < places_.size(), "step table: row ", rows_ - 1, " has more values than the first");
  const Tensor& place = places_[filled_++];
  check(value.shape() == place.shape() && value.dtype() == place.dtype(), "step table: value ", filled_ - 1, " is ",
        name_of(place.dtype()), place.shape(), " in the first row, ", name_of(value.dtype()), value.shape(), " in row ",
        rows_ - 1);
  const std::size_t size = values_.size(), count = static_cast<std::size_t>(value.numel());
  values_.resize(size + count);
  with_words(value, [&](const auto* from) { std::memcpy(values_.data() + size, from, count * word); });
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
  dispatch("next_row", device_, [&](auto device) { kernels::next_row(device, table_, places_, row_); });
}

void StepTable::clear() {
  rows_ = 0;
  filled_ = places_.size();
  values_.clear();
}

namespace kernels {

void next_row(Cpu, const Tensor& table, const std::vector<Tensor>& places, const Tensor& row) {
  const std::int32_t* from = table.data<std::int32_t>() + *row.data<std::int32_t>() * table.size(1);
  for (const Tensor& place : places) {
    const std::size_t count = static_cast<std::size_t>(place.numel());
    if (place.dtype() == DType::f32) std::memcpy(place.mutable_data<float>(), from, count * word);
    else std::memcpy(place.mutable_data<std::int32_t>(), from, count * word);
    from += count;
  }
  ++*row.mutable_data<std::int32_t>();
}

}  // namespace kernels
}  // namespace mixgrad
