#include "augment/gather_mixed.h"
#include "data/gather_images.cuh"

namespace mixgrad::kernels {
namespace {

struct Mixed {
  StoredImages stored;
  const std::int32_t *indices, *partners;
  const float* lambda;
  std::int32_t *y, *partner;

  struct Pixels {
    const std::uint8_t *own, *theirs;
    float lambda;
    template <int width>
    __device__ Pack<float, width> at(int i) const {
      const auto a = load<width>(own + i), b = load<width>(theirs + i);
      Pack<float, width> out;
      UNROLL
      for (int k = 0; k < width; ++k)
        out.element[k] = augment::mix(grey_of(a.element[k]), grey_of(b.element[k]), lambda);
      return out;
    }
  };
  __device__ Pixels operator()(int n, bool first) const {
    return {stored.image(indices, n, y, first), stored.image(partners, n, partner, first), lambda[n]};
  }
};

}  // namespace

void gather_mixed(Cuda device, const Tensor& images, const Tensor& labels, const Tensor& indices,
                  const Tensor& partners, const Tensor& lambda, const Tensor& x, const Tensor& y,
                  const Tensor& partner) {
  fill_images(device, images, x,
              Mixed{StoredImages(images, labels), read<std::int32_t>(indices), read<std::int32_t>(partners),
                    read(lambda), write<std::int32_t>(y), write<std::int32_t>(partner)});
}

}  // namespace mixgrad::kernels
