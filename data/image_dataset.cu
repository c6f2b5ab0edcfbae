#include "core/gpu.cuh"
#include "data/image_dataset.h"

namespace mixgrad::kernels {
namespace {

// A batch, and what it is gathered from. Without partners nothing is mixed.
struct Gather {
  const std::uint8_t* images;
  const std::int32_t *labels, *numbers, *partners;
  const float* lambda;
  std::int64_t total;         // elements of x
  Divisor image_out, copies;  // elements of x per image, per stored byte
  std::int64_t image_in;      // bytes of a stored image
  IndexCheck inside;
  float* x;
  std::int32_t *y, *partner;
};

// Each thread makes `width` neighbouring elements of x, which belong to one image.
template <int width, bool mixed>
__global__ void gather_images_kernel(Gather g) {
  const std::int64_t first = global_index() * width;
  if (first >= g.total) return;
  int within = static_cast<int>(first);
  const int n = g.image_out.split(within);
  const std::int64_t number = g.inside(g.numbers[n], n);
  const std::int64_t other = mixed ? g.inside(g.partners[n], n) : number;
  const std::uint8_t* const own = g.images + number * g.image_in;
  const std::uint8_t* const theirs = g.images + other * g.image_in;
  Pack<float, width> out;
  UNROLL for (int i = 0; i < width; ++i) {
    const int byte = g.copies.divide(within + i);
    const float a = static_cast<float>(own[byte]) / 255.0f;
    out.element[i] = mixed ? a + (1.0f - g.lambda[n]) * (static_cast<float>(theirs[byte]) / 255.0f - a) : a;
  }
  store(g.x + first, out);
  if (within == 0) {
    g.y[n] = g.labels[number];
    if constexpr (mixed) g.partner[n] = g.labels[other];
  }
}

template <bool mixed>
void launch_gather(Cuda device, const Gather& g, std::int64_t image_out) {
  check(g.total < std::int64_t{1} << 31, device.op, ": a batch of ", g.total,
        " elements is more than the GPU's kernel takes");
  if (image_out % 4 == 0)
    launch(device, gather_images_kernel<4, mixed>, blocks_for(g.total, 4 * block_threads), block_threads, 0, g);
  else launch(device, gather_images_kernel<1, mixed>, blocks_for(g.total), block_threads, 0, g);
}

std::int64_t elements_of_one(const Tensor& x) { return x.shape().product(1, 4); }

Gather gather_of(const Tensor& images, const Tensor& labels, const Tensor& numbers, const Tensor& x, const Tensor& y) {
  return {.images = read<std::uint8_t>(images),
          .labels = read<std::int32_t>(labels),
          .numbers = read<std::int32_t>(numbers),
          .partners = nullptr,
          .lambda = nullptr,
          .total = x.numel(),
          .image_out = Divisor(std::max<std::int64_t>(elements_of_one(x), 1)),
          .copies = Divisor(x.size(3) / images.size(3)),
          .image_in = images.shape().product(1, 4),
          .inside = IndexCheck("dataset", images.size(0)),
          .x = write(x),
          .y = write<std::int32_t>(y),
          .partner = nullptr};
}

}  // namespace

void gather_images(Cuda device, const Tensor& images, const Tensor& labels, const Tensor& numbers, const Tensor& x,
                   const Tensor& y) {
  launch_gather<false>(device, gather_of(images, labels, numbers, x, y), elements_of_one(x));
}

void gather_mixed_images(Cuda device, const Tensor& images, const Tensor& labels, const Tensor& numbers,
                         const Tensor& partners, const Tensor& lambda, const Tensor& x, const Tensor& y,
                         const Tensor& partner) {
  Gather g = gather_of(images, labels, numbers, x, y);
  g.partners = read<std::int32_t>(partners);
  g.lambda = read(lambda);
  g.partner = write<std::int32_t>(partner);
  launch_gather<true>(device, g, elements_of_one(x));
}

}  // namespace mixgrad::kernels
