#include "data/image_dataset.h"

#include <algorithm>

#include "core/index.h"
#include "core/parallel.h"

namespace mixgrad::data {

ImageDataset::ImageDataset(LabelledImages images, std::vector<std::string> classes, const ImageDatasetOptions& options)
    : images_(std::move(images.images)),
      labels_(std::move(images.labels)),
      classes_(std::move(classes)),
      channels_(options.channels) {
  check(images_.rank() == 4 && images_.dtype() == DType::u8, "dataset: images must be u8 [N, H, W, C], got ",
        name_of(images_.dtype()), images_.shape());
  check(channels_ > 0 && (images_.size(3) == 1 || images_.size(3) == channels_), "dataset: images ", images_.shape(),
        " cannot be given ", channels_, " channels");
  check(labels_.numel() == images_.size(0), "dataset: ", images_.size(0), " images but ", labels_.numel(), " labels");
  check_indices("dataset labels", labels_, static_cast<std::int64_t>(classes_.size()));
}

Batch ImageDataset::get(std::span<const std::int32_t> indices) const {
  const auto n = static_cast<std::int64_t>(indices.size());
  const Tensor rows = Tensor::from(indices, {n});
  check_indices("dataset", rows, size());
  const std::int64_t height = images_.size(1), width = images_.size(2), pixels = height * width;
  Tensor x = Tensor::empty({n, height, width, channels_});
  dispatch("gather_images", images_.device(), [&](auto device) {
    kernels::gather_images(device, images_.raw_view({size(), pixels, images_.size(3)}, 0), rows,
                           x.raw_view({n, pixels, channels_}, 0));
  });
  return {x, gather(labels_, rows)};
}

LabelledImages select(const LabelledImages& all, std::span<const std::int32_t> labels) {
  std::vector<std::int32_t> rows, classes;
  const std::int32_t* label = all.labels.data<std::int32_t>();
  for (std::int32_t i = 0; i < all.labels.numel(); ++i) {
    const auto found = std::find(labels.begin(), labels.end(), label[i]);
    if (found == labels.end()) continue;
    rows.push_back(i);
    classes.push_back(static_cast<std::int32_t>(found - labels.begin()));
  }
  const auto n = static_cast<std::int64_t>(rows.size());
  return {gather(all.images, Tensor::from(rows, {n})), Tensor::from(classes, {n})};
}

}  // namespace mixgrad::data

namespace mixgrad::kernels {

void gather_images(Cpu, const Tensor& images, const Tensor& indices, const Tensor& out) {
  const std::int64_t pixels = out.size(1), channels = out.size(2), stored = images.size(2);
  const std::uint8_t* from = images.data<std::uint8_t>();
  const std::int32_t* index = indices.data<std::int32_t>();
  float* to = out.mutable_data<float>();
  constexpr std::int64_t grain = std::int64_t{1} << 14;  // bytes read per range
  const std::int64_t image = pixels * stored;
  parallel_for(out.size(0), rows_per_range(image, grain), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const std::uint8_t* source = from + index[n] * image;
      float* target = to + n * pixels * channels;
      if (stored == channels)
        for (std::int64_t i = 0; i < image; ++i) target[i] = static_cast<float>(source[i]) / 255.0f;
      else
        for (std::int64_t p = 0; p < pixels; ++p)
          std::fill_n(target + p * channels, channels, static_cast<float>(source[p]) / 255.0f);
    }
  });
}

}  // namespace mixgrad::kernels
