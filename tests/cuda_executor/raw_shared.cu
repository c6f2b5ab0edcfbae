// Must not compile for the executor: CMakeLists.txt says why.
#include <cuda_runtime.h>

__global__ void reverse(float* x) {
  __shared__ float copy[32];
  copy[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  x[threadIdx.x] = copy[31 - threadIdx.x];
}
