// Images kept in memory as bytes and read as floats in [0, 1].
#pragma once

#include <memory>

#include "data/dataset.h"
#include "data/labelled_images.h"

namespace mixgrad::data {

struct ImageDatasetOptions {
  std::int64_t channels = 3;  // grey images are copied to this many channels; at most 1024
};

// Batches x f32 [N, H, W, channels] = byte / 255 and y i32 [N]. Nothing is normalised or transformed. All images are in
// the memory of one device, where one kernel gathers a batch.
class ImageDataset : public Dataset {
 public:
  // images u8 [N, H, W, C] with C = 1 or C = channels, labels i32 [N] in 0..classes-1, both on one device.
  // Throws on other shapes, counts that differ or labels out of range.
  ImageDataset(LabelledImages images, std::vector<std::string> classes, const ImageDatasetOptions& options = {});

  std::int64_t size() const override { return stored_.images.size(0); }
  const std::vector<std::string>& classes() const override { return classes_; }
  Batch get(std::span<const std::int32_t> indices) const override;

  Device device() const { return stored_.images.device(); }
  bool resident() const override { return true; }
  std::shared_ptr<const Dataset> to(Device device) const override;
  // Throws when an index is outside 0..size()-1; on the GPU, when the host next waits for the device.
  Batch gather_batch(const Tensor& indices) const override;
  const StoredImages* stored() const override { return &stored_; }

 private:
  StoredImages stored_;
  std::vector<std::string> classes_;
};

// The x of a batch of these samples, uninitialised. Throws unless indices are i32 [N] on the images' device.
Tensor empty_batch(const StoredImages& stored, const Tensor& indices);

}  // namespace mixgrad::data

namespace mixgrad::kernels {
// x[n, p, c] = images[indices[n], p, c or 0] / 255; y[n] = labels[indices[n]]
MIXGRAD_KERNEL(gather_images, const data::StoredImages& stored, const Tensor& indices, Out x, Out y);
}  // namespace mixgrad::kernels
