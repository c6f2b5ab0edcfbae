#include "core/elementwise.h"
#include "core/gpu.cuh"

namespace mixgrad::gpu {

#ifdef __CUDACC__
namespace {
__global__ void nothing_kernel() {}
}  // namespace

bool kernels_wait_for_previous() {
  static const bool wait = [] {
    cudaFuncAttributes attributes{};
    check_cuda("cuda", cudaFuncGetAttributes(&attributes, nothing_kernel));
    return attributes.ptxVersion >= 90;
  }();
  return wait;
}
#endif

}  // namespace mixgrad::gpu

namespace mixgrad::kernels {
namespace {

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

}  // namespace

void fill(Cuda device, double value, Out out) {
  with_cuda_dtype(out.dtype(),
                  [&]<class T>(T) { map(device, out.numel(), Constant<T>{static_cast<T>(value)}, write<T>(out)); });
}

void copy(Cuda device, const Tensor& source, Out out) {
  check_cuda(device.op, cudaMemcpyAsync(write<std::byte>(out), read<std::byte>(source), out.num_bytes(),
                                        cudaMemcpyDeviceToDevice, static_cast<cudaStream_t>(device.stream)));
}

void convert(Cuda device, const Tensor& source, Out out) {
  with_cuda_dtype(source.dtype(), [&]<class From>(From) {
    with_cuda_dtype(out.dtype(), [&]<class To>(To) {
      map(device, out.numel(), functions::NumberAs<To>{}, write<To>(out), read<From>(source));
    });
  });
}

}  // namespace mixgrad::kernels
