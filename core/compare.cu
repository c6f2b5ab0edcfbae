#include "core/broadcast.cuh"
#include "core/compare.h"

namespace mixgrad::kernels {
namespace {

template <class T>
struct Compare {
  Comparison op;
  __device__ std::uint8_t operator()(T x, T y) const {
    switch (op) {
      case Comparison::less: return x < y;
      case Comparison::less_equal: return x <= y;
      case Comparison::equal: return x == y;
      case Comparison::not_equal: break;
    }
    return x != y;
  }
};

struct Choose {
  __device__ float operator()(std::uint8_t condition, float a, float b) const { return condition ? a : b; }
};

}  // namespace

void compare(Cuda device, Comparison op, const Tensor& a, const Tensor& b, const Tensor& out) {
  with_cuda_dtype(a.dtype(), [&]<class T>(T) {
    map_broadcast<std::uint8_t, T, T>(device, Compare<T>{op}, out, {a, b});
  });
}

void where(Cuda device, const Tensor& condition, const Tensor& a, const Tensor& b, const Tensor& out) {
  map_broadcast<float, std::uint8_t, float, float>(device, Choose{}, out, {condition, a, b});
}

}  // namespace mixgrad::kernels
