#include "augment/gather_mixed.h"

#include "data/gather_images.h"

namespace mixgrad::augment {

MixedBatch gather_mixed(const data::ImageDataset& dataset, const Tensor& indices, const Tensor& partners,
                        const Tensor& lambda) {
  Tensor x = dataset.empty_batch(indices);
  check(partners.dtype() == DType::i32 && lambda.dtype() == DType::f32 && partners.shape() == indices.shape() &&
            lambda.shape() == indices.shape(),
        "mixup: ", indices.shape(), " samples with partners ", name_of(partners.dtype()), partners.shape(),
        " and lambda ", name_of(lambda.dtype()), lambda.shape());
  check_same_device("mixup", indices.device(), partners.device());
  check_same_device("mixup", indices.device(), lambda.device());
  Tensor y = Tensor::empty(indices.shape(), indices.options()), partner = Tensor::empty(y.shape(), y.options());
  const auto& [images, labels] = dataset.stored();
  dispatch("gather_mixed", x.device(), [&, &images = images, &labels = labels](auto device) {
    kernels::gather_mixed(device, images, labels, indices, partners, lambda, x, y, partner);
  });
  return {x, {y, partner, lambda}};
}

}  // namespace mixgrad::augment

namespace mixgrad::kernels {

void gather_mixed(Cpu, const Tensor& images, const Tensor& labels, const Tensor& indices, const Tensor& partners,
                  const Tensor& lambda, const Tensor& x, const Tensor& y, const Tensor& partner) {
  gather_labels(labels, indices, y);
  gather_labels(labels, partners, partner);
  const std::uint8_t* byte = images.data<std::uint8_t>();
  const std::int32_t* index = indices.data<std::int32_t>();
  const std::int32_t* other = partners.data<std::int32_t>();
  const float* weight = lambda.data<float>();
  const std::int64_t image = bytes_of_one(images);
  fill_images(images, x, [=](std::int64_t n) {
    return [lambda = weight[n], own = byte + index[n] * image, theirs = byte + other[n] * image](std::int64_t i) {
      return augment::mix(grey(own[i]), grey(theirs[i]), lambda);
    };
  });
}

}  // namespace mixgrad::kernels
