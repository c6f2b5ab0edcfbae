#include "data/gather_images.cuh"
#include "data/image_dataset.h"

namespace mixgrad::kernels {
namespace {

struct Plain {
  ImageReader reader;
  const std::int32_t* indices;
  std::int32_t* y;

  struct Pixels {
    const std::uint8_t* own;
    template <int width>
    __device__ Pack<float, width> at(int i) const {
      const auto bytes = load<width>(own + i);
      Pack<float, width> out;
      UNROLL
      for (int k = 0; k < width; ++k) out.element[k] = grey(bytes.element[k]);
      return out;
    }
  };
  __device__ Pixels operator()(int n, bool first) const { return {reader.image(indices, n, y, first)}; }
};

}  // namespace

void gather_images(Cuda device, const data::LabelledImages& stored, const Tensor& indices, Out x, Out y) {
  fill_images(device, stored, Plain{ImageReader(stored), read<std::int32_t>(indices), write<std::int32_t>(y)}, x);
}

}  // namespace mixgrad::kernels
