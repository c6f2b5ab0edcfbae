// The kernels of a mix of pairs (private: for the .cu of a mix). Rows is what augment/pair_mix_kernels.h says.
#pragma once

#include "augment/pair_mix_kernels.h"
#include "data/gather_images.cuh"

namespace mixgrad::kernels {

template <int width, class Rows>
__global__ void combine_pairs_kernel(std::int64_t total, Divisor sample, Divisor length, Rows rows, const float* x,
                                     const float* partner, float* out) {
  wait_for_previous_kernel();
  const std::int64_t first = global_index() * width;  // a multiple of it: all are in one line
  if (first >= total) return;
  int i = static_cast<int>(first);
  const auto combine = rows(sample.split(i));
  const int line = length.split(i);
  const auto a = load<width>(x + first), b = load<width>(partner + first);
  Pack<float, width> result;
  UNROLL
  for (int k = 0; k < width; ++k) result.element[k] = combine(a.element[k], b.element[k], line, i + k);
  store(out + first, result);
}

template <class Rows>
void combine_samples(Cuda device, const augment::Pairs& pairs, const Lines& lines, const Rows& rows) {
  const Tensor &own = pairs.own, &other = pairs.other;
  const std::int64_t total = own.numel(), length = std::max<std::int64_t>(lines.length, 1);
  check(total < std::int64_t{1} << 31, device.op, ": a batch of ", total,
        " elements is more than the CUDA kernel supports (2^31 - 1)");
  const auto launch_with = [&]<int width>() {
    launch(device, combine_pairs_kernel<width, Rows>, blocks_for(total, block_threads * width), block_threads, 0, total,
           Divisor(std::max<std::int64_t>(lines.count, 1) * length), Divisor(length), rows, read(own), read(other),
           write(pairs.x));
  };
  const bool fours = length % 4 == 0 && is_aligned(read(own), 4) && is_aligned(read(other), 4);
  if (fours) launch_with.template operator()<4>();
  else launch_with.template operator()<1>();
}

template <class Rows>
struct PairedImages {
  ImageReader reader;
  const std::int32_t *indices, *partners;
  Rows rows;
  Divisor length;
  std::int32_t *y, *partner;

  struct Pixels {
    const std::uint8_t *own, *other;
    decltype(std::declval<Rows>()(0)) combine;
    Divisor length;
    template <int width>
    __device__ Pack<float, width> at(int first) const {
      const auto a = load<width>(own + first), b = load<width>(other + first);
      Pack<float, width> out;
      UNROLL
      for (int k = 0; k < width; ++k) {
        int i = first + k;
        const int line = Rows::whole ? 0 : length.split(i);
        out.element[k] = combine(grey(a.element[k]), grey(b.element[k]), line, i);
      }
      return out;
    }
  };
  __device__ Pixels operator()(int n, bool first) const {
    return {reader.image(indices, n, y, first), reader.image(partners, n, partner, first), rows(n), length};
  }
};

// combine_pairs of augment/pair_mix_kernels.h.
template <class Rows>
void combine_pairs(Cuda device, const augment::Pairs& pairs, const Rows& rows) {
  const data::LabelledImages* const stored = pairs.stored;
  const Lines lines(stored ? stored->images.shape() : pairs.x.shape(), Rows::whole);
  if (!stored) return combine_samples(device, pairs, lines, rows);
  fill_images(device, *stored,
              PairedImages<Rows>{ImageReader(*stored), read<std::int32_t>(pairs.own), read<std::int32_t>(pairs.other),
                                 rows, Divisor(std::max<std::int64_t>(lines.length, 1)), write<std::int32_t>(pairs.y),
                                 write<std::int32_t>(pairs.partner)},
              pairs.x);
}

}  // namespace mixgrad::kernels
