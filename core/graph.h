// Graph: kernels that are captured once and then replayed with one call: a CUDA graph (private).
//
//   const Graph step([&] { ... });   // runs the function on the host; its kernels are recorded instead of run
//   for (...) step.replay();         // queues all of them
//
// A replay reads and writes exactly the memory that was captured, and does nothing else that the function did. What the
// function allocates comes from the graph's private pool, which serves nobody else while the graph lives.
#pragma once

#include <cstdint>
#include <functional>

#include "core/scope.h"

namespace mixgrad {

class Graph : NonCopyable {
 public:
  // Rethrows what the function throws (waiting for the device is illegal during capture); throws where there is no CUDA
  // device.
  explicit Graph(const std::function<void()>& step);
  ~Graph();
  void replay() const;

 private:
  [[maybe_unused]] std::uint32_t pool_ = 0;      // a build without CUDA has no use for them
  [[maybe_unused]] void* executable_ = nullptr;  // a cudaGraphExec_t
};

}  // namespace mixgrad
