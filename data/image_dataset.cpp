#include "data/image_dataset.h"

#include <algorithm>

#include "core/index.h"
#include "data/gather_images.h"

namespace mixgrad::data {

ImageDataset::ImageDataset(LabelledImages images, std::vector<std::string> classes, const ImageDatasetOptions& options)
    : stored_(std::move(images)), classes_(std::move(classes)), channels_(options.channels) {
  const Tensor& bytes = stored_.images;
  check(bytes.rank() == 4 && bytes.dtype() == DType::u8, "dataset: images must be u8 [N, H, W, C], got ",
        name_of(bytes.dtype()), bytes.shape());
  check(channels_ > 0 && channels_ <= 1024 && (bytes.size(3) == 1 || bytes.size(3) == channels_), "dataset: images ",
        bytes.shape(), " cannot be converted to ", channels_, " channels");
  check(stored_.labels.numel() == size(), "dataset: ", size(), " images but ", stored_.labels.numel(), " labels");
  check_indices("dataset labels", stored_.labels, static_cast<std::int64_t>(classes_.size()));
}

std::shared_ptr<const ImageDataset> ImageDataset::to(Device device) const {
  auto moved = std::make_shared<ImageDataset>(*this);
  moved->stored_ = {stored_.images.to(device), stored_.labels.to(device)};
  return moved;
}

Batch ImageDataset::get(std::span<const std::int32_t> indices) const {
  return gather(Tensor::from(indices, {std::ssize(indices)}).to(device()));
}

Tensor ImageDataset::empty_batch(const Tensor& indices) const {
  check_same_device("dataset", indices.device(), device());
  check(indices.rank() == 1 && indices.dtype() == DType::i32, "dataset: sample indices are ", name_of(indices.dtype()),
        indices.shape(), ", not i32 [N]");
  check(size() > 0 || indices.numel() == 0, "dataset: ", indices.numel(), " samples of an empty dataset");
  return Tensor::empty({indices.size(0), stored_.images.size(1), stored_.images.size(2), channels_},
                       {.device = device()});
}

Batch ImageDataset::gather(const Tensor& indices) const {
  Tensor x = empty_batch(indices), y = Tensor::empty(indices.shape(), indices.options());
  dispatch("gather_images", device(),
           [&](auto device) { kernels::gather_images(device, stored_.images, stored_.labels, indices, x, y); });
  return {x, y};
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

void gather_images(Cpu, const Tensor& images, const Tensor& labels, const Tensor& indices, const Tensor& x,
                   const Tensor& y) {
  gather_labels(labels, indices, y);
  const std::uint8_t* byte = images.data<std::uint8_t>();
  const std::int32_t* index = indices.data<std::int32_t>();
  const std::int64_t image = bytes_of_one(images);
  fill_images(images, x,
              [=](std::int64_t n) { return [own = byte + index[n] * image](std::int64_t i) { return grey(own[i]); }; });
}

}  // namespace mixgrad::kernels
