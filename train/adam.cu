#include "train/adam.h"

#include "core/gpu.cuh"

namespace mixgrad::kernels {

void adam_step(Cuda device, const train::AdamOptions& options, train::WeightDecay decay, std::int64_t step,
               const Tensor& gradients, const Tensor& values, const Tensor& mean, const Tensor& square) {
  update(device, values.numel(), AdamStep<float>(options, decay, step), read(gradients), write(values), write(mean),
         write(square));
}

}  // namespace mixgrad::kernels
