#include "augment/gather_mixed.h"
#include "data/gather_images.cuh"

namespace mixgrad::kernels {
namespace {

struct Mixed {
  StoredImages stored;
  const std::int32_t *numbers, *partners;
  const float* lambda;
  std::int32_t *y, *partner;

  struct Pixels {
    const std::uint8_t *own, *theirs;
    float lambda;
    __device__ float operator()(int i) const { return augment::mix(grey(own[i]), grey(theirs[i]), lambda); }
  };
  __device__ Pixels operator()(int n, bool first) const {
    return {stored.image(numbers, n, y, first), stored.image(partners, n, partner, first), lambda[n]};
  }
};

}  // namespace

void gather_mixed(Cuda device, const Tensor& images, const Tensor& labels, const Tensor& numbers,
                  const Tensor& partners, const Tensor& lambda, const Tensor& x, const Tensor& y,
                  const Tensor& partner) {
  fill_images(device, images, x,
              Mixed{StoredImages(images, labels), read<std::int32_t>(numbers), read<std::int32_t>(partners),
                    read(lambda), write<std::int32_t>(y), write<std::int32_t>(partner)});
}

}  // namespace mixgrad::kernels
