#include "augment/cutmix.h"
#include "augment/pair_mix.cuh"

void mixgrad::kernels::cutmix(Cuda device, const augment::Pairs& pairs, const Tensor& boxes) {
  const std::int64_t channels = (pairs.stored ? pairs.stored->images : pairs.x).size(3);
  combine_pairs(device, pairs, CutMixRows{read<std::int32_t>(boxes), channels});
}
