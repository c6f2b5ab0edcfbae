#include "core/gpu.cuh"
#include "train/adam.h"

namespace mixgrad::kernels {

void adam_step(Cuda device, const Tensor& coefficients, const Tensor& gradients, const Tensor& values,
               const Tensor& mean, const Tensor& square) {
  update(device, values.numel(), FromMemory<AdamStep<float>>{read(coefficients)}, read(gradients), write(values),
         write(mean), write(square));
}

}  // namespace mixgrad::kernels
