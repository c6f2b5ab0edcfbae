// Images kept in memory as bytes, given out as numbers in [0, 1].
#pragma once

#include "data/dataset.h"

namespace mixgrad::data {

// Which of two disjoint sets of images: to train on, or to judge by.
enum class Split : std::uint8_t { train, valid };

// What a source of images delivers: N grey images of H by W pixels and the class of each: element n of one belongs to
// element n of the other.
struct LabelledImages {
  Tensor images;  // u8 [N, H, W, 1], ink 255 on 0
  Tensor labels;  // i32 [N], 0..classes-1
};

struct ImageDatasetOptions {
  std::int64_t channels = 3;  // grey images are copied to as many channels
};

// Batches x f32 [N, H, W, channels] = byte / 255 and y i32 [N]. Nothing is normalised or transformed.
class ImageDataset : public Dataset {
 public:
  // images u8 [N, H, W, C] with C = 1 or C = channels, labels i32 [N] in 0..classes-1.
  // Throws on other shapes, counts that differ or labels out of range.
  ImageDataset(LabelledImages images, std::vector<std::string> classes, const ImageDatasetOptions& options = {});

  std::int64_t size() const override { return images_.size(0); }
  Batch get(std::span<const std::int32_t> indices) const override;
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  Tensor images_, labels_;
  std::vector<std::string> classes_;
  std::int64_t channels_;
};

// The samples labelled with one of `labels`, in order; labels[k] becomes class k.
LabelledImages select(const LabelledImages& all, std::span<const std::int32_t> labels);

}  // namespace mixgrad::data

namespace mixgrad::kernels {
// out[n, p, c] = images[indices[n], p, c or 0] / 255 for images u8 [N, pixels, 1 or channels]
MIXGRAD_KERNEL(gather_images, const Tensor& images, const Tensor& indices, const Tensor& out);
}  // namespace mixgrad::kernels
