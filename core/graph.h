// Graph: kernels that are captured once and then replayed with one call: a CUDA graph (private).
//
//   const Graph step([&] { ... });   // runs the function on the host; its kernels are recorded instead of run
//   for (...) step.replay();         // queues all of them
//
// A replay reads and writes the very memory that was captured, and does nothing else that the function did. What the
// function allocates comes from a pool of the graph's own, which nobody else is given memory from while the graph
// lives.
#pragma once

#include <cstdint>
#include <functional>

#include "core/scope.h"

namespace mixgrad {

class Graph : NonCopyable {
 public:
  // Throws what the function throws, such as the error of something that must wait for the device, which a step cannot
  // while it is captured; and where there is no CUDA device.
  explicit Graph(const std::function<void()>& step);
  ~Graph();
  void replay() const;

 private:
  [[maybe_unused]] std::uint32_t pool_ = 0;      // a build without CUDA has no use for them
  [[maybe_unused]] void* executable_ = nullptr;  // a cudaGraphExec_t
};

}  // namespace mixgrad
