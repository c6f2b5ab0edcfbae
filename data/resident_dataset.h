// ResidentDataset: samples that all lie in the memory of one device, where one kernel gathers a batch of them.
#pragma once

#include <memory>

#include "data/dataset.h"

namespace mixgrad::data {

// A batch whose inputs are mixtures of two samples, and the targets of both.
struct MixedBatch {
  Tensor x, y, partner;
};

class ResidentDataset : public Dataset {
 public:
  virtual Device device() const = 0;
  // The same samples on another device.
  virtual std::shared_ptr<const ResidentDataset> to(Device device) const = 0;
  // The samples with these numbers, i32 [N] on device(), in this order. Throws when one is outside 0..size()-1; on the
  // GPU, when the host next waits for the device.
  virtual Batch gather(const Tensor& numbers) const = 0;
  // The same, mixed with the samples numbered `partners`, i32 [N], in the same pass over memory:
  //   x_n = lambda_n x[numbers_n] + (1 - lambda_n) x[partners_n]      lambda f32 [N]
  // with the targets of both sides as they are.
  virtual MixedBatch gather_mixed(const Tensor& numbers, const Tensor& partners, const Tensor& lambda) const = 0;

  Batch get(std::span<const std::int32_t> numbers) const final {
    return gather(Tensor::from(numbers, {static_cast<std::int64_t>(numbers.size())}).to(device()));
  }
};

}  // namespace mixgrad::data
