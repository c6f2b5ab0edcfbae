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

std::shared_ptr<const ResidentDataset> ImageDataset::to(Device device) const {
  auto moved = std::make_shared<ImageDataset>(*this);
  moved->images_ = images_.to(device);
  moved->labels_ = labels_.to(device);
  return moved;
}

Tensor ImageDataset::empty_batch(const Tensor& numbers) const {
  check_same_device("dataset", numbers.device(), device());
  check(numbers.rank() == 1 && numbers.dtype() == DType::i32, "dataset: the numbers of samples are ",
        name_of(numbers.dtype()), numbers.shape(), ", not i32 [N]");
  return Tensor::empty({numbers.size(0), images_.size(1), images_.size(2), channels_}, {.device = device()});
}

Batch ImageDataset::gather(const Tensor& numbers) const {
  Tensor x = empty_batch(numbers), y = Tensor::empty(numbers.shape(), numbers.options());
  dispatch("gather_images", device(),
           [&](auto device) { kernels::gather_images(device, images_, labels_, numbers, x, y); });
  return {x, y};
}

MixedBatch ImageDataset::gather_mixed(const Tensor& numbers, const Tensor& partners, const Tensor& lambda) const {
  Tensor x = empty_batch(numbers), y = Tensor::empty(numbers.shape(), numbers.options());
  Tensor partner = Tensor::empty(numbers.shape(), numbers.options());
  check(partners.dtype() == DType::i32 && lambda.dtype() == DType::f32 && partners.shape() == numbers.shape() &&
            lambda.shape() == numbers.shape(),
        "dataset: mixing ", numbers.shape(), " samples with partners ", name_of(partners.dtype()), partners.shape(),
        " and lambda ", name_of(lambda.dtype()), lambda.shape());
  check_same_device("dataset", numbers.device(), partners.device());
  check_same_device("dataset", numbers.device(), lambda.device());
  dispatch("gather_mixed_images", device(), [&](auto device) {
    kernels::gather_mixed_images(device, images_, labels_, numbers, partners, lambda, x, y, partner);
  });
  return {x, y, partner};
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
namespace {

constexpr std::int64_t grain = std::int64_t{1} << 12;  // bytes read per range

std::int64_t bytes_of_one(const Tensor& images) { return images.shape().product(1, 4); }

// x[n, i, every channel] = value(i) for the `image` bytes of each stored image, where value = pixels(n).
template <class F>
void fill_images(const Tensor& images, const Tensor& x, F pixels) {
  const std::int64_t image = bytes_of_one(images), copies = x.size(3) / images.size(3);
  float* const to = x.mutable_data<float>();
  parallel_for(x.size(0), rows_per_range(image, grain), [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; ++n) {
      const auto value = pixels(n);
      float* target = to + n * image * copies;
      if (copies == 1)
        for (std::int64_t i = 0; i < image; ++i) target[i] = value(i);
      else if (copies == 3)  // as vectors, which a loop over the copies would not be
        for (std::int64_t i = 0; i < image; ++i) target[3 * i] = target[3 * i + 1] = target[3 * i + 2] = value(i);
      else
        for (std::int64_t i = 0; i < image; ++i) std::fill_n(target + i * copies, copies, value(i));
    }
  });
}

void gather_labels(const Tensor& labels, const Tensor& numbers, const Tensor& y) {
  const auto* label = labels.data<std::int32_t>();
  const auto* number = numbers.data<std::int32_t>();
  auto* to = y.mutable_data<std::int32_t>();
  for (std::int64_t n = 0; n < y.numel(); ++n) to[n] = label[number[n]];
}

}  // namespace

void gather_images(Cpu, const Tensor& images, const Tensor& labels, const Tensor& numbers, const Tensor& x,
                   const Tensor& y) {
  mixgrad::check_indices("dataset", numbers, images.size(0));
  gather_labels(labels, numbers, y);
  const std::uint8_t* byte = images.data<std::uint8_t>();
  const std::int32_t* number = numbers.data<std::int32_t>();
  const std::int64_t image = bytes_of_one(images);
  fill_images(images, x, [=](std::int64_t n) {
    return [pixel = byte + number[n] * image](std::int64_t i) { return static_cast<float>(pixel[i]) / 255.0f; };
  });
}

void gather_mixed_images(Cpu, const Tensor& images, const Tensor& labels, const Tensor& numbers, const Tensor& partners,
                         const Tensor& lambda, const Tensor& x, const Tensor& y, const Tensor& partner) {
  mixgrad::check_indices("dataset", numbers, images.size(0));
  mixgrad::check_indices("dataset", partners, images.size(0));
  gather_labels(labels, numbers, y);
  gather_labels(labels, partners, partner);
  const std::uint8_t* byte = images.data<std::uint8_t>();
  const std::int32_t* number = numbers.data<std::int32_t>();
  const std::int32_t* other = partners.data<std::int32_t>();
  const float* weight = lambda.data<float>();
  const std::int64_t image = bytes_of_one(images);
  fill_images(images, x, [=](std::int64_t n) {
    return
        [rest = 1.0f - weight[n], first = byte + number[n] * image, second = byte + other[n] * image](std::int64_t i) {
          const float a = static_cast<float>(first[i]) / 255.0f, b = static_cast<float>(second[i]) / 255.0f;
          return a + rest * (b - a);
        };
  });
}

}  // namespace mixgrad::kernels
