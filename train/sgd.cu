#include "core/gpu.cuh"
#include "train/sgd.h"

namespace mixgrad::kernels {

void sgd_step(Cuda device, const Tensor& coefficients, const Tensor& gradients, const Tensor& values,
              const Tensor& velocity) {
  update(device, values.numel(), FromMemory<SgdStep<float>>{read(coefficients)}, read(gradients), write(values),
         write(velocity));
}

}  // namespace mixgrad::kernels
