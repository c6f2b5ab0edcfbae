// Images kept in memory as bytes and read as floats in [0, 1].
#pragma once

#include <memory>

#include "data/dataset.h"

namespace mixgrad::data {

// Batches x f32 [N, H, W, channels] = byte / 255 and y i32 [N]. Nothing is normalised or transformed. All images are in
// the memory of one device, where one kernel gathers a batch.
class ImageDataset : public Dataset {
 public:
  // Throws on other shapes than LabelledImages says, 0 or more than 1024 channels, and labels out of range.
  ImageDataset(LabelledImages images, std::vector<std::string> classes);

  std::int64_t size() const override { return stored_.images.size(0); }
  const std::vector<std::string>& classes() const override { return classes_; }
  Batch get(std::span<const std::int32_t> indices) const override;

  Device device() const { return stored_.images.device(); }
  bool resident() const override { return true; }
  std::shared_ptr<const Dataset> to(Device device) const override;
  // Throws when an index is outside 0..size()-1; on the GPU, when the host next waits for the device.
  Batch gather_batch(const Tensor& indices) const override;
  const LabelledImages* stored() const override { return &stored_; }

 private:
  LabelledImages stored_;
  std::vector<std::string> classes_;
};

// The x of a batch of these samples, uninitialised. Throws unless indices are i32 [N] on the images' device.
Tensor empty_batch(const LabelledImages& stored, const Tensor& indices);

}  // namespace mixgrad::data

namespace mixgrad::kernels {
// x[n, p, c] = images[indices[n], p, c or 0] / 255; y[n] = labels[indices[n]]
MIXGRAD_KERNEL(gather_images, const data::LabelledImages& stored, const Tensor& indices, Out x, Out y);
}  // namespace mixgrad::kernels
