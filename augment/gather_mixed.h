// mix() for images in memory: a batch of mixtures directly from the stored bytes, in one pass.
//
// Bit for bit the same as gather, gather and mix (augment/mixup.h), without the two unmixed batches.
#pragma once

#include "augment/mixup.h"
#include "data/image_dataset.h"

namespace mixgrad::augment {

struct MixedBatch {
  Tensor x;       // f32 [N, H, W, channels]
  MixedTarget y;  // the labels of both sides, i32 [N], and lambda
};

// x_n = lambda_n images[indices_n] + (1 - lambda_n) images[partners_n], for indices and partners i32 [N] and lambda
// f32 [N] on the dataset's device. Throws on other shapes, and when an index is outside 0..size()-1; on the GPU, when
// the host next waits for the device.
MixedBatch gather_mixed(const data::ImageDataset& dataset, const Tensor& indices, const Tensor& partners,
                        const Tensor& lambda);

}  // namespace mixgrad::augment

namespace mixgrad::kernels {
// images u8 [S, H, W, 1 or channels], labels i32 [S]; y and partner become the labels of both sides.
MIXGRAD_KERNEL(gather_mixed, const Tensor& images, const Tensor& labels, const Tensor& indices, const Tensor& partners,
               const Tensor& lambda, const Tensor& x, const Tensor& y, const Tensor& partner);
}  // namespace mixgrad::kernels
