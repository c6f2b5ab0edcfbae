#include "core/gpu.cuh"
#include "data/pixel_maps.h"

namespace mixgrad::kernels {
namespace {

struct Divisors {
  Divisor image, row, pixel;  // in elements
};

template <class Map>
__global__ void transform_kernel(int total, pixel_maps::Image image, int channels, Divisors by, Map map, const float* x,
                                 const float* table, float* y) {
  wait_for_previous_kernel();
  const std::int64_t at = global_index();
  if (at >= total) return;
  int channel = static_cast<int>(at);
  const int n = by.image.split(channel), i = by.row.split(channel), j = by.pixel.split(channel);
  const float* row = table + std::int64_t{n} * Map::columns;
  const int pixels = image.height * image.width, source = map.source(image, row, i, j);
  y[at] = source == pixel_maps::nowhere ? map.fill : map.value(x[(n * pixels + source) * channels + channel], row);
}

}  // namespace

void transform(Cuda device, const pixel_maps::PixelMap& any_map, const Tensor& x, const Tensor& table, Out y) {
  check(x.numel() < std::int64_t{1} << 31, device.op, ": images ", x.shape(),
        " have more elements than the CUDA kernel supports (2^31 - 1)");
  const pixel_maps::Image image{static_cast<std::int32_t>(x.size(1)), static_cast<std::int32_t>(x.size(2))};
  const Divisors by{Divisor(x.shape().product(1, 4)), Divisor(x.shape().product(2, 4)), Divisor(x.size(3))};
  const auto launch_with = [&]<class Map>(const Map& map) {
    launch(device, transform_kernel<Map>, blocks_for(x.numel()), block_threads, 0, x.numel(), image, x.size(3), by, map,
           read(x), read(table), write(y));
  };
  std::visit(launch_with, any_map);
}

}  // namespace mixgrad::kernels
