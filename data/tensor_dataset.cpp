#include "data/tensor_dataset.h"

#include "core/index.h"

namespace mixgrad::data {

TensorDataset::TensorDataset(Tensor x, Tensor y, std::vector<std::string> classes)
    : x_(x.detach()), y_(y.detach()), classes_(std::move(classes)) {
  check(x.rank() >= 1 && y.rank() >= 1 && x.size(0) == y.size(0), "dataset: inputs ", x.shape(), " and targets ",
        y.shape(), " are not of as many samples");
  check_same_device("dataset", x.device(), y.device());
  if (!classes_.empty() && y.dtype() == DType::i32)
    check_indices("dataset targets", y, static_cast<std::int64_t>(classes_.size()));
}

Batch TensorDataset::get(std::span<const std::int32_t> indices) const {
  return gather_batch(Tensor::from(indices, {std::ssize(indices)}).to(x_.device()));
}

std::shared_ptr<const Dataset> TensorDataset::to(Device device) const {
  auto moved = std::make_shared<TensorDataset>(*this);
  moved->x_ = x_.to(device);
  moved->y_ = y_.to(device);
  return moved;
}

Batch TensorDataset::gather_batch(const Tensor& indices) const { return {gather(x_, indices), gather(y_, indices)}; }

}  // namespace mixgrad::data
