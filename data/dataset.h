// Dataset: samples by index, read a batch at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::data {

// Inputs and targets of some samples, stacked along the first axis.
struct Batch {
  Tensor x, y;
  std::int64_t size() const { return x.size(0); }
};

class Dataset {
 public:
  virtual ~Dataset() = default;
  virtual std::int64_t size() const = 0;
  // The samples with these indices, in this order. Throws when one is outside 0..size()-1.
  virtual Batch get(std::span<const std::int32_t> indices) const = 0;
  // The classes' names by class index; empty where targets are not classes.
  virtual const std::vector<std::string>& classes() const = 0;
};

}  // namespace mixgrad::data
