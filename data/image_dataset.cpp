#include "data/image_dataset.h"

#include "core/index.h"
#include "data/gather_images.h"

namespace mixgrad::data {

ImageDataset::ImageDataset(LabelledImages images, std::vector<std::string> classes)
    : stored_(std::move(images)), classes_(std::move(classes)) {
  const auto& [bytes, labels, channels] = stored_;
  check(bytes.rank() == 4 && bytes.dtype() == DType::u8, "dataset: images must be u8 [N, H, W, C], got ",
        name_of(bytes.dtype()), bytes.shape());
  check(channels > 0 && channels <= 1024 && (bytes.size(3) == 1 || bytes.size(3) == channels), "dataset: images ",
        bytes.shape(), " cannot be converted to ", channels, " channels");
  check(labels.numel() == size(), "dataset: ", size(), " images but ", labels.numel(), " labels");
  check_indices("dataset labels", labels, static_cast<std::int64_t>(classes_.size()));
}

std::shared_ptr<const Dataset> ImageDataset::to(Device device) const {
  auto moved = std::make_shared<ImageDataset>(*this);
  moved->stored_.images = stored_.images.to(device);
  moved->stored_.labels = stored_.labels.to(device);
  return moved;
}

Batch ImageDataset::get(std::span<const std::int32_t> indices) const {
  return gather_batch(Tensor::from(indices, {std::ssize(indices)}).to(device()));
}

Batch ImageDataset::gather_batch(const Tensor& indices) const {
  Tensor x = empty_batch(stored_, indices), y = Tensor::empty(indices.shape(), indices.options());
  dispatch("gather_images", device(), [&](auto device) { kernels::gather_images(device, stored_, indices, x, y); });
  return {x, y};
}

Tensor empty_batch(const LabelledImages& stored, const Tensor& indices) {
  const Tensor& images = stored.images;
  check_same_device("dataset", indices.device(), images.device());
  check(indices.rank() == 1 && indices.dtype() == DType::i32, "dataset: sample indices are ", name_of(indices.dtype()),
        indices.shape(), ", not i32 [N]");
  check(images.size(0) > 0 || indices.numel() == 0, "dataset: ", indices.numel(), " samples of an empty dataset");
  return Tensor::empty({indices.size(0), images.size(1), images.size(2), stored.channels}, {.device = images.device()});
}

}  // namespace mixgrad::data

namespace mixgrad::kernels {

void gather_images(Cpu, const data::LabelledImages& stored, const Tensor& indices, Out x, Out y) {
  gather_labels(stored.labels, indices, y);
  const auto image = images_of(stored, indices);
  fill_images(stored, x, 1,
              [=](std::int64_t n, std::int64_t) { return [own = image(n)](std::int64_t i) { return grey(own[i]); }; });
}

}  // namespace mixgrad::kernels
