#include "core/graph.h"

#include "core/allocator.h"
#include "core/device.h"
#ifdef MIXGRAD_WITH_CUDA
#include "core/cuda.h"
#endif

namespace mixgrad {

#ifdef MIXGRAD_WITH_CUDA

namespace {

// Captures what is queued on the stream while it lives. However that ends, the stream is as before.
class Capture : NonCopyable {
 public:
  Capture() {  // relaxed: memory may be allocated during capture
    check_cuda("graph", cudaStreamBeginCapture(cuda_stream(), cudaStreamCaptureModeRelaxed));
  }
  ~Capture() {
    if (!ended_) static_cast<void>(cudaStreamEndCapture(cuda_stream(), &graph_));
    if (graph_) static_cast<void>(cudaGraphDestroy(graph_));
    static_cast<void>(cudaGetLastError());
  }
  cudaGraph_t end() {
    ended_ = true;
    check_cuda("graph", cudaStreamEndCapture(cuda_stream(), &graph_));
    return graph_;
  }

 private:
  bool ended_ = false;
  cudaGraph_t graph_ = nullptr;
};

}  // namespace

Graph::Graph(const std::function<void()>& step) {
  check_available(cuda);
  PrivatePool pool(cuda);
  Capture capture;
  step();
  cudaGraphExec_t executable = nullptr;
  check_cuda("graph", cudaGraphInstantiate(&executable, capture.end(), 0));
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
