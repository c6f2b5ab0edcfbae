#include "data/gather_images.cuh"
#include "data/image_dataset.h"

namespace mixgrad::kernels {
namespace {

struct Plain {
  StoredImages stored;
  const std::int32_t* indices;
  std::int32_t* y;

  struct Pixels {
    const std::uint8_t* own;
    template <int width>
    __device__ Pack<float, width> at(int i) const {
      const auto bytes = load<width>(own + i);
      Pack<float, width> out;
      UNROLL
      for (int k = 0; k < width; ++k) out.element[k] = grey_of(bytes.element[k]);
      return out;
    }
  };
  __device__ Pixels operator()(int n, bool first) const { return {stored.image(indices, n, y, first)}; }
};

}  // namespace

void gather_images(Cuda device, const Tensor& images, const Tensor& labels, const Tensor& indices, const Tensor& x,
                   const Tensor& y) {
  fill_images(device, images, x,
              Plain{StoredImages(images, labels), read<std::int32_t>(indices), write<std::int32_t>(y)});
}

}  // namespace mixgrad::kernels
