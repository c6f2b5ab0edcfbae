#include "augment/mixup.h"
#include "augment/pair_mix.cuh"

void mixgrad::kernels::mix(Cuda device, const augment::Pairs& pairs, const Tensor& lambda) {
  combine_pairs(device, pairs, MixUpRows<float>{read(lambda)});
}
