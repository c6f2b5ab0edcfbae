// Marks functions that kernels on both devices call: a CUDA compiler then compiles them for the GPU, too.
#pragma once

#ifdef __CUDACC__
#define MIXGRAD_HOST_DEVICE __host__ __device__
#else
#define MIXGRAD_HOST_DEVICE
#endif
