#include "train/sgd.h"

#include "core/gpu.cuh"

namespace mixgrad::kernels {

void sgd_step(Cuda device, const train::SgdOptions& options, const Tensor& gradients, const Tensor& values,
              const Tensor& velocity) {
  update(device, values.numel(), SgdStep<float>(options), read(gradients), write(values), write(velocity));
}

}  // namespace mixgrad::kernels
