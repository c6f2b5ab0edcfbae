// Marks what kernels on both devices call: a CUDA compiler then makes it for the GPU too.
#pragma once

#ifdef __CUDACC__
#define MIXGRAD_HOST_DEVICE __host__ __device__
#else
#define MIXGRAD_HOST_DEVICE
#endif
