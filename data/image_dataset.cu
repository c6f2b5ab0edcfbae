#include "core/gpu.cuh"
#include "data/image_dataset.h"

namespace mixgrad::kernels {
namespace {

// out [n, image_out], where a stored number serves `copies` channels.
__global__ void gather_images_kernel(const std::uint8_t* images, const std::int32_t* indices, std::int64_t n,
                                     std::int64_t image_out, std::int64_t copies, float* out) {
  const std::int64_t i = global_index();
  if (i >= n * image_out) return;
  const std::int64_t image = indices[i / image_out];
  out[i] = static_cast<float>(images[image * (image_out / copies) + i % image_out / copies]) / 255.0f;
}

}  // namespace

void gather_images(Cuda device, const Tensor& images, const Tensor& indices, const Tensor& out) {
  const std::int64_t image_out = out.size(1) * out.size(2);
  launch(device, gather_images_kernel, blocks_for(out.numel()), block_threads, 0, read<std::uint8_t>(images),
         read<std::int32_t>(indices), out.size(0), image_out, out.size(2) / images.size(2), write(out));
}

}  // namespace mixgrad::kernels
