// Images kept in memory as bytes, given out as numbers in [0, 1].
#pragma once

#include "data/resident_dataset.h"

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
class ImageDataset : public ResidentDataset {
 public:
  // images u8 [N, H, W, C] with C = 1 or C = channels, labels i32 [N] in 0..classes-1, both on one device.
  // Throws on other shapes, counts that differ or labels out of range.
  ImageDataset(LabelledImages images, std::vector<std::string> classes, const ImageDatasetOptions& options = {});

  std::int64_t size() const override { return images_.size(0); }
  Device device() const override { return images_.device(); }
  std::shared_ptr<const ResidentDataset> to(Device device) const override;
  Batch gather(const Tensor& numbers) const override;
  MixedBatch gather_mixed(const Tensor& numbers, const Tensor& partners, const Tensor& lambda) const override;
  const std::vector<std::string>& classes() const override { return classes_; }

 private:
  Tensor empty_batch(const Tensor& numbers) const;

  Tensor images_, labels_;
  std::vector<std::string> classes_;
  std::int64_t channels_;
};

// The samples labelled with one of `labels`, in order; labels[k] becomes class k.
LabelledImages select(const LabelledImages& all, std::span<const std::int32_t> labels);

}  // namespace mixgrad::data

namespace mixgrad::kernels {
// x[n, p, c] = images[numbers[n], p, c or 0] / 255 for images u8 [S, pixels, 1 or channels]; y[n] = labels[numbers[n]]
MIXGRAD_KERNEL(gather_images, const Tensor& images, const Tensor& labels, const Tensor& numbers, const Tensor& x,
               const Tensor& y);
// The same images a and those numbered `partners`, b, mixed: x = a + (1 - lambda[n]) (b - a), and the labels of both.
MIXGRAD_KERNEL(gather_mixed_images, const Tensor& images, const Tensor& labels, const Tensor& numbers,
               const Tensor& partners, const Tensor& lambda, const Tensor& x, const Tensor& y, const Tensor& partner);
}  // namespace mixgrad::kernels
