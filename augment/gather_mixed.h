// mix() for images that are kept in memory: a batch of mixtures straight from the stored bytes, in one pass.
//
// It is gather, gather and mix (augment/mixup.h) to the last bit, without the two unmixed batches in between.
#pragma once

#include "augment/mixup.h"
#include "data/image_dataset.h"

namespace mixgrad::augment {

struct MixedBatch {
  Tensor x;       // f32 [N, H, W, channels]
  MixedTarget y;  // the labels of both sides, i32 [N], and lambda
};

// x_n = lambda_n images[numbers_n] + (1 - lambda_n) images[partners_n], for numbers and partners i32 [N] and lambda
// f32 [N] on the dataset's device. Throws on other shapes, and when a number is outside 0..size()-1; on the GPU, when
// the host next waits for the device.
MixedBatch gather_mixed(const data::ImageDataset& dataset, const Tensor& numbers, const Tensor& partners,
                        const Tensor& lambda);

}  // namespace mixgrad::augment

namespace mixgrad::kernels {
// images u8 [S, H, W, 1 or channels], labels i32 [S]; y and partner become the labels of both sides.
MIXGRAD_KERNEL(gather_mixed, const Tensor& images, const Tensor& labels, const Tensor& numbers, const Tensor& partners,
               const Tensor& lambda, const Tensor& x, const Tensor& y, const Tensor& partner);
}  // namespace mixgrad::kernels
