// Launching a kernel: executor::launch stands behind the launch function of core/gpu.h.
#pragma once

#include <cstddef>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

#include "cuda_runtime_api.h"

namespace executor {

cudaError_t launch_grid(std::function<void()> kernel, const void* function, dim3 grid, dim3 block,
                        std::size_t dynamic_bytes, cudaStream_t stream, bool beside_previous);
// Throws an Error when argument `number` (from 1) of a kernel points to memory that is not the device's.
void check_pointer(int number, const void* pointer);

// Queues kernel(args...) in the stream. Returns what CUDA's launch returns: cudaErrorInvalidConfiguration for a grid or
// block of an impossible size, cudaErrorInvalidValue for too much dynamic shared memory. Throws an Error when an
// argument is a pointer to host memory (pinned memory too: no kernel of mixgrad means to read it); what goes wrong
// inside the kernel is thrown when it runs, which in a lazy stream is when the host synchronises. With beside_previous,
// as if it had CUDA's attribute of programmatic dependent launch, each thread must wait for the kernel before it.
template <bool beside_previous = false, class... P, class... A>
cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, std::size_t dynamic_bytes, cudaStream_t stream,
                   A&&... args) {
  static_assert(sizeof...(P) == sizeof...(A), "launch: wrong number of kernel arguments");
  static_assert((std::is_trivially_copyable_v<P> && ...), "launch: kernel parameters must be trivially copyable");
  static_assert((!std::is_reference_v<P> && ...), "launch: kernel parameters must not be references");
  const std::tuple<P...> values(static_cast<P>(std::forward<A>(args))...);
  [[maybe_unused]] int number = 0;
  [[maybe_unused]] const auto check_value = [&number](const auto& value) {
    ++number;
    if constexpr (std::is_pointer_v<std::remove_cvref_t<decltype(value)>>) check_pointer(number, value);
  };
  std::apply([&](const auto&... value) { (check_value(value), ...); }, values);
  return launch_grid([kernel, values] { std::apply(kernel, values); }, reinterpret_cast<const void*>(kernel), grid,
                     block, dynamic_bytes, stream, beside_previous);
}

}  // namespace executor
