// Samples given as tensors: the numbers of a table, features, targets that are numbers.
//
//   const auto rows = std::make_shared<data::TensorDataset>(x, y);
//   data::DataLoader train(rows, {.batch_size = 64, .shuffle = true});
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace mixgrad::data {

// All samples are in the memory of one device, where a batch is gathered.
class TensorDataset : public Dataset {
 public:
  // x [N, ...], and y [N] or [N, ...]: class indices i32 where classes have names, or anything else. Throws unless both
  // have as many samples and are on the same device, and where a class index is out of range.
  TensorDataset(Tensor x, Tensor y, std::vector<std::string> classes = {});

  std::int64_t size() const override { return x_.size(0); }
  const std::vector<std::string>& classes() const override { return classes_; }
  Batch get(std::span<const std::int32_t> indices) const override;
  bool resident() const override { return true; }
  std::shared_ptr<const Dataset> to(Device device) const override;
  Batch gather_batch(const Tensor& indices) const override;

 private:
  Tensor x_, y_;
  std::vector<std::string> classes_;
};

}  // namespace mixgrad::data
