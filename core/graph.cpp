#include "core/graph.h"

#include <exception>

#include "core/allocator.h"
#include "core/device.h"
#ifdef MIXGRAD_WITH_CUDA
#include "core/cuda.h"
#endif

namespace mixgrad {

#ifdef MIXGRAD_WITH_CUDA

Graph::Graph(const std::function<void()>& step) {
  check_available(cuda);
  PrivatePool pool(cuda);
  // Relaxed: memory may be allocated during capture.
  check_cuda("graph", cudaStreamBeginCapture(cuda_stream(), cudaStreamCaptureModeRelaxed));
  std::exception_ptr error;
  try {
    step();
  } catch (...) {
    error = std::current_exception();
  }
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t executable = nullptr;
  cudaError_t status = cudaStreamEndCapture(cuda_stream(), &graph);
  if (!error && status == cudaSuccess) status = cudaGraphInstantiate(&executable, graph, 0);
  if (graph) static_cast<void>(cudaGraphDestroy(graph));
  static_cast<void>(cudaGetLastError());  // however this ended, the stream is as before
  if (error) std::rethrow_exception(error);
  check_cuda("graph", status);
  executable_ = executable;
  pool_ = pool.keep();
}

Graph::~Graph() {
  // What was queued may still be running.
  static_cast<void>(cudaStreamSynchronize(cuda_stream()));
  static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable_)));
  release_pool(cuda, pool_);
}

void Graph::replay() const {
  check_cuda("graph", cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable_), cuda_stream()));
}

#else

Graph::Graph(const std::function<void()>&) { check_available(cuda); }
Graph::~Graph() = default;
void Graph::replay() const {}

#endif

}  // namespace mixgrad
