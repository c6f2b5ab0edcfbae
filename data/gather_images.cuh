// A batch from the bytes of stored images, on the GPU (private: for the .cu of what gathers images).
#pragma once

#include "core/gpu.cuh"
#include "data/gather_images.h"

namespace mixgrad::kernels {

// What a batch is gathered from.
struct StoredImages {
  StoredImages(const Tensor& images, const Tensor& labels)
      : bytes(read<std::uint8_t>(images)),
        labels(read<std::int32_t>(labels)),
        bytes_each(bytes_of_one(images)),
        inside("dataset", images.size(0)) {}

  // The bytes of image numbers[n], whose label is written to y[n] if this is the thread to do it.
  __device__ const std::uint8_t* image(const std::int32_t* numbers, int n, std::int32_t* y, bool write_label) const {
    const std::int64_t number = inside(numbers[n], n);
    if (write_label) y[n] = labels[number];
    return bytes + number * bytes_each;
  }

  const std::uint8_t* bytes;
  const std::int32_t* labels;
  std::int64_t bytes_each;
  IndexCheck inside;
};

// Each thread makes `width` neighbouring elements of x, which belong to one image.
template <int width, class F>
__global__ void fill_images_kernel(std::int64_t total, Divisor elements_each, Divisor copies, F pixels, float* x) {
  const std::int64_t first = global_index() * width;
  if (first >= total) return;
  int within = static_cast<int>(first);
  const int n = elements_each.split(within);
  const auto value = pixels(n, within == 0);
  Pack<float, width> out;
  UNROLL for (int i = 0; i < width; ++i) out.element[i] = value(copies.divide(within + i));
  store(x + first, out);
}

// x[n, i, every channel] = value(i) for each byte i of a stored image, where value = pixels(n, first) and `first` is
// true for one of the threads that make image n.
template <class F>
void fill_images(Cuda device, const Tensor& images, const Tensor& x, F pixels) {
  const std::int64_t total = x.numel(), each = x.shape().product(1, 4);
  check(total < std::int64_t{1} << 31, device.op, ": a batch of ", total,
        " elements is more than the GPU's kernel takes");
  const auto launch_with = [&]<int width>(std::integral_constant<int, width>) {
    launch(device, fill_images_kernel<width, F>, blocks_for(total, block_threads * width), block_threads, 0, total,
           Divisor(std::max<std::int64_t>(each, 1)), Divisor(x.size(3) / images.size(3)), pixels, write(x));
  };
  if (each % 4 == 0) launch_with(std::integral_constant<int, 4>{});
  else launch_with(std::integral_constant<int, 1>{});
}

}  // namespace mixgrad::kernels
