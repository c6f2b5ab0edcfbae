// Devices, and how an operation reaches its kernel.
//
// A kernel is two plain functions with one name, distinguished by a tag: kernel(Cpu, ...) in the operation's .cpp and
// kernel(Cuda, ...) in its .cu. MIXGRAD_KERNEL declares both; dispatch picks one:
//
//   dispatch("conv2d_forward", x.device(), [&](auto device) { kernels::conv2d_forward(device, x, weight, y); });
//
// A build without CUDA never instantiates the Cuda branch; with CUDA, a missing kernel is a link error.
#pragma once

#include <ostream>
#include <utility>

#include "core/check.h"
#include "core/profile.h"

namespace mixgrad {

struct Cpu {};
struct Cuda {
  void* stream;    // a cudaStream_t
  const char* op;  // for error messages
};

struct Device {
  enum class Kind { cpu, cuda };
  Kind kind = Kind::cpu;
  friend bool operator==(const Device&, const Device&) = default;
};
inline constexpr Device cpu{Device::Kind::cpu};
inline constexpr Device cuda{Device::Kind::cuda};

inline std::ostream& operator<<(std::ostream& out, Device device) { return out << (device == cpu ? "cpu" : "cuda"); }

// Throws when there is no such device: "no CUDA device", or one that is too old, or a build without CUDA.
#ifdef MIXGRAD_WITH_CUDA
void check_available(Device device);
void* current_stream();  // the cudaStream_t on which kernels run
#else
inline void check_available(Device device) {
  check(device == cpu, "this build of mixgrad has no CUDA; configure it with -DMIXGRAD_CUDA=ON");
}
#endif

// Throws unless both operands of an operation are on the same device: "matmul: operands on cpu and cuda".
inline void check_same_device(const char* op, Device a, Device b) {
  check(a == b, op, ": operands on ", a, " and ", b);
}

// Calls f with the device's tag. `kernel`, a string literal, is what a Profile (core/profile.h) lists it under.
template <class F>
decltype(auto) dispatch(const char* kernel, Device device, F&& f) {
  const KernelTimer timer(kernel);
#ifdef MIXGRAD_WITH_CUDA
  if (device == cuda) return std::forward<F>(f)(Cuda{current_stream(), kernel});
#else
  check_available(device);
#endif
  return std::forward<F>(f)(Cpu{});
}

// For an operation without a CUDA kernel: throws instead of failing to link.
template <class F>
decltype(auto) dispatch_cpu(const char* kernel, Device device, F&& f) {
  check(device == cpu, kernel, ": has no CUDA kernel; move the tensor to the CPU first");
  const KernelTimer timer(kernel);
  return std::forward<F>(f)(Cpu{});
}

}  // namespace mixgrad

// Declares the CPU and the CUDA overload of a kernel.
#define MIXGRAD_KERNEL(name, ...)         \
  void name(::mixgrad::Cpu, __VA_ARGS__); \
  void name(::mixgrad::Cuda, __VA_ARGS__)

// Private: the tools of the CPU's kernels are in mixgrad::host, those of the GPU's in mixgrad::gpu (core/gpu.cuh).
namespace mixgrad::host {}
namespace mixgrad::kernels {
using namespace host;
}
