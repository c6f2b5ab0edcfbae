// A batch from the bytes of stored images, on the GPU (private: for .cu files that gather images).
#pragma once

#include "core/gpu.cuh"
#include "data/gather_images.h"

namespace mixgrad::kernels {

// Reads the images and labels of a batch.
class ImageReader {
 public:
  explicit ImageReader(const data::LabelledImages& stored)
      : bytes_(read<std::uint8_t>(stored.images)),
        labels_(read<std::int32_t>(stored.labels)),
        bytes_each_(bytes_of_one(stored.images)),
        inside_("dataset", stored.images.size(0)) {}

  // The bytes of image indices[n]; if write_label, also writes its label to y[n].
  __device__ const std::uint8_t* image(const std::int32_t* indices, int n, std::int32_t* y, bool write_label) const {
    const std::int64_t index = inside_(indices[n], n);
    if (write_label) y[n] = labels_[index];
    return bytes_ + index * bytes_each_;
  }

 private:
  const std::uint8_t* bytes_;
  const std::int32_t* labels_;
  std::int64_t bytes_each_;
  IndexCheck inside_;
};

// Each thread converts `width` neighbouring bytes of an image to floats. known_copies: how many adjacent copies of each
// are written; 0: any number.
template <int width, int known_copies, class F>
__global__ void fill_images_kernel(std::int64_t total, Divisor bytes_each, int copies, F pixels, float* x) {
  wait_for_previous_kernel();
  const std::int64_t first = global_index() * width;
  Pack<float, width> value{};
  if (first < total) {
    int within = static_cast<int>(first);
    const int n = bytes_each.split(within);
    value = pixels(n, within == 0).template at<width>(within);
  }
  if constexpr (known_copies == 1) {
    if (first < total) store(x + first, value);
  } else if constexpr (known_copies > 1) {
    // Through shared memory, so that writes are coalesced.
    using Packs = Pack<float, width>[block_threads * known_copies];
    SHARED(Packs, staged);
    const int thread = static_cast<int>(threadIdx.x);
    UNROLL
    for (int part = 0; part < known_copies; ++part) UNROLL
    for (int i = 0; i < width; ++i)
      staged[thread * known_copies + part].element[i] = value.element[(part * width + i) / known_copies];
    __syncthreads();
    const std::int64_t block = std::int64_t{blockIdx.x} * block_threads * width * known_copies;
    UNROLL
    for (int part = 0; part < known_copies; ++part) {
      const int pack = thread + part * block_threads;
      if (block + pack * width < total * known_copies) store(x + block + pack * width, staged[pack]);
    }
  } else {
    for (int i = 0; first < total && i < width * copies; ++i) x[first * copies + i] = value.element[i / copies];
  }
}

// x[n, i, every channel] = value(i) for each byte i of a stored image, where pixels(n, first).at<w>(i) is value(i) to
// value(i + w - 1) and `first` is true for one of the threads of image n.
template <class F>
void fill_images(Cuda device, const data::LabelledImages& stored, F pixels, Out x) {
  const Tensor& images = stored.images;
  const std::int64_t each = bytes_of_one(images), total = x.size(0) * each, copies = x.size(3) / images.size(3);
  check(x.numel() < std::int64_t{1} << 31, device.op, ": a batch of ", x.numel(),
        " elements is more than the CUDA kernel supports (2^31 - 1)");
  const auto launch_with = [&]<int width, int known_copies>() {
    launch(device, fill_images_kernel<width, known_copies, F>, blocks_for(total, block_threads * width), block_threads,
           0, total, Divisor(std::max<std::int64_t>(each, 1)), static_cast<int>(copies), pixels, write(x));
  };
  if (each % 4 != 0 || !is_aligned(read<std::uint8_t>(images), 4)) launch_with.template operator()<1, 0>();
  else if (copies == 1) launch_with.template operator()<4, 1>();
  else if (copies == 3) launch_with.template operator()<4, 3>();
  else launch_with.template operator()<1, 0>();
}

}  // namespace mixgrad::kernels
