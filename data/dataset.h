// Dataset: samples by index, read a batch at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/labelled_images.h"

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

  // ---- For samples that are resident: all in the memory of a device, where kernels gather a batch, so that a step can
  // be captured as a CUDA graph. Others leave these as they are.
  virtual bool resident() const { return false; }
  // The same samples on another device; null: they stay where they are.
  virtual std::shared_ptr<const Dataset> to(Device) const { return nullptr; }
  // The samples with these indices, i32 [N] on the device of a resident dataset.
  virtual Batch gather_batch(const Tensor& indices) const { return get(indices.to_vector<std::int32_t>()); }
  // The bytes, where samples are images: for what is done in the pass that gathers them, such as mixing.
  virtual const LabelledImages* stored() const { return nullptr; }
};

}  // namespace mixgrad::data
