#include "streams.h"

#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "api.h"
#include "device_memory.h"

struct CUgraph_st {
  std::vector<executor::Work> nodes;
};

// Shared with the work that replays it, which may still be queued when the handle is destroyed.
struct CUgraphExec_st {
  std::shared_ptr<const std::vector<executor::Work>> nodes;
};

struct CUstream_st {
  struct Capture {
    CUgraph_st graph;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool invalidated = false;
  };
  std::deque<executor::Work> queue;
  std::uint64_t queued = 0;  // works ever appended, and taken out of the queue
  std::uint64_t done = 0;
  std::optional<Capture> capture;
};

struct CUevent_st {
  bool timed = true;
  bool captured = false;          // last recorded in a capture
  cudaStream_t stream = nullptr;  // where it was last recorded, null before
  std::uint64_t position = 0;     // it has happened when the stream has done as many works
  std::chrono::steady_clock::time_point time{};
};

namespace executor {
namespace {

// The objects behind handles of one type.
template <class T>
class Handles {
 public:
  T* create() { return all_.emplace_back(std::make_unique<T>()).get(); }
  bool contain(const T* handle) const { return find(handle) != all_.end(); }
  cudaError_t destroy(const T* handle) {
    const auto found = find(handle);
    if (found == all_.end()) return cudaErrorInvalidResourceHandle;
    all_.erase(found);
    return cudaSuccess;
  }
  auto begin() const { return all_.begin(); }
  auto end() const { return all_.end(); }

 private:
  auto find(const T* handle) const {
    return std::find_if(all_.begin(), all_.end(), [=](const auto& each) { return each.get() == handle; });
  }
  std::vector<std::unique_ptr<T>> all_;
};

Handles<CUstream_st> streams;
Handles<CUevent_st> events;
Handles<CUgraph_st> graphs;
Handles<CUgraphExec_st> executables;

// The stream of a handle; of null, the default stream, which here waits for no other. Null for a handle of nothing.
CUstream_st* find_stream(cudaStream_t handle) {
  static CUstream_st* const default_stream = streams.create();
  if (!handle) return default_stream;
  return streams.contain(handle) ? handle : nullptr;
}

void drop_all_work() {
  for (const auto& stream : streams) {
    stream->queue.clear();
    stream->done = stream->queued;
  }
}

// Does the stream's work up to a position. A fault ends all work of the device, as in CUDA.
void drain(CUstream_st& stream, std::uint64_t position) {
  while (stream.done < position) {
    const Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.done;
    try {
      work();
    } catch (...) {
      drop_all_work();
      throw;
    }
  }
}

// Like enqueue, for work that does not touch device memory.
cudaError_t append(CUstream_st& stream, Work work) {
  if (stream.capture) {
    if (stream.capture->invalidated) return cudaErrorStreamCaptureInvalidated;
    stream.capture->graph.nodes.push_back(std::move(work));
    return cudaSuccess;
  }
  stream.queue.push_back(std::move(work));
  ++stream.queued;
  if (!schedule.lazy_streams) drain(stream, stream.queued);
  return cudaSuccess;
}

bool has_happened(const CUevent_st& event) { return !event.stream || event.stream->done >= event.position; }

// Runs body(stream), or returns the error of a handle of nothing.
template <class Body>
cudaError_t on_stream(cudaStream_t handle, Body body) {
  return api([&] {
    CUstream_st* stream = find_stream(handle);
    return stream ? body(*stream) : cudaErrorInvalidResourceHandle;
  });
}

template <class Body>
cudaError_t on_event(cudaEvent_t event, Body body) {
  return api([&] { return events.contain(event) ? body(*event) : cudaErrorInvalidResourceHandle; });
}

// An event whose state the host may ask for.
template <class Body>
cudaError_t on_uncaptured_event(cudaEvent_t handle, Body body) {
  return on_event(handle, [&](CUevent_st& event) { return event.captured ? cudaErrorCapturedEvent : body(event); });
}

}  // namespace

cudaError_t forbidden_while_capturing() {
  cudaError_t error = cudaSuccess;
  for (const auto& stream : streams) {
    if (!stream->capture || stream->capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (stream->capture->mode == cudaStreamCaptureModeThreadLocal &&
        stream->capture->thread != std::this_thread::get_id())
      continue;
    stream->capture->invalidated = true;
    error = cudaErrorStreamCaptureUnsupported;
  }
  return error;
}

cudaError_t forbidden_in(cudaStream_t handle) {
  CUstream_st* stream = find_stream(handle);
  if (!stream || !stream->capture) return cudaSuccess;
  stream->capture->invalidated = true;
  return cudaErrorStreamCaptureUnsupported;
}

cudaError_t synchronize_device() {
  for (const auto& stream : streams)
    if (const cudaError_t error = forbidden_in(stream.get()); error != cudaSuccess) return error;
  ++stats.synchronizations;
  for (const auto& stream : streams) drain(*stream, stream->queued);
  return cudaSuccess;
}

cudaError_t enqueue(cudaStream_t handle, Work work) {
  return on_stream(handle, [&](CUstream_st& stream) {
    return append(stream, [work = std::move(work)] {
      const DeviceAccess access;
      work();
    });
  });
}

}  // namespace executor

using namespace executor;

cudaError_t cudaDeviceSynchronize() { return api(synchronize_device); }

cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithFlags(stream, cudaStreamDefault); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  return api([&] {
    *stream = streams.create();
    return cudaSuccess;
  });
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  return on_stream(handle, [&](CUstream_st& stream) {
    if (!handle) return cudaErrorInvalidResourceHandle;
    drain(stream, stream.queued);
    for (const auto& event : events)
      if (event->stream == &stream) event->stream = nullptr;
    return streams.destroy(handle);
  });
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  return on_stream(handle, [&](CUstream_st& stream) {
    if (const cudaError_t error = forbidden_in(handle); error != cudaSuccess) return error;
    ++stats.synchronizations;
    drain(stream, stream.queued);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned) {
  return on_stream(handle, [&](CUstream_st& stream) {
    if (!events.contain(event)) return cudaErrorInvalidResourceHandle;
    if (!event->stream || event->stream == &stream) return cudaSuccess;
    if (event->captured) return cudaErrorNotSupported;  // CUDA would let the stream join the capture
    if (stream.capture) return cudaErrorStreamCaptureIsolation;
    return append(stream, [from = event->stream, position = event->position] {
      if (streams.contain(from)) drain(*from, position);
    });
  });
}

cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, cudaEventDefault); }

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned flags) {
  return api([&] {
    *event = events.create();
    (*event)->timed = !(flags & cudaEventDisableTiming);
    return cudaSuccess;
  });
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  return api([&] { return events.destroy(event); });
}

cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream_handle) {
  return on_event(handle, [&](CUevent_st& event) {
    CUstream_st* stream = find_stream(stream_handle);
    if (!stream) return cudaErrorInvalidResourceHandle;
    event.stream = stream;
    event.captured = stream->capture.has_value();
    if (event.captured) return cudaSuccess;
    event.position = stream->queued + 1;
    return append(*stream, [handle] {
      if (events.contain(handle)) handle->time = std::chrono::steady_clock::now();
    });
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  return on_uncaptured_event(handle, [](CUevent_st& event) {
    ++stats.synchronizations;
    if (event.stream) drain(*event.stream, event.position);
    return cudaSuccess;
  });
}

// A lazy stream does one work per question, so that a loop of them ends.
cudaError_t cudaEventQuery(cudaEvent_t handle) {
  return on_uncaptured_event(handle, [](CUevent_st& event) {
    if (has_happened(event)) return cudaSuccess;
    drain(*event.stream, event.stream->done + 1);
    return cudaErrorNotReady;
  });
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start_handle, cudaEvent_t end_handle) {
  return on_uncaptured_event(start_handle, [&](CUevent_st& start) {
    return on_uncaptured_event(end_handle, [&](CUevent_st& end) {
      if (!start.timed || !end.timed || start.position == 0 || end.position == 0) return cudaErrorInvalidResourceHandle;
      if (!has_happened(start) || !has_happened(end)) return cudaErrorNotReady;
      *milliseconds = std::chrono::duration<float, std::milli>(end.time - start.time).count();
      return cudaSuccess;
    });
  });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, cudaStreamCaptureMode mode) {
  return on_stream(handle, [&](CUstream_st& stream) {
    if (!handle) return cudaErrorStreamCaptureUnsupported;
    if (stream.capture) return cudaErrorIllegalState;
    stream.capture = CUstream_st::Capture{{}, mode, std::this_thread::get_id()};
    return cudaSuccess;
  });
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* graph) {
  return on_stream(handle, [&](CUstream_st& stream) {
    *graph = nullptr;
    if (!stream.capture) return cudaErrorIllegalState;
    auto capture = std::move(*stream.capture);
    stream.capture.reset();
    if (capture.invalidated) return cudaErrorStreamCaptureInvalidated;
    *graph = graphs.create();
    **graph = std::move(capture.graph);
    return cudaSuccess;
  });
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, cudaStreamCaptureStatus* status) {
  return on_stream(handle, [&](CUstream_st& stream) {
    *status = !stream.capture               ? cudaStreamCaptureStatusNone
              : stream.capture->invalidated ? cudaStreamCaptureStatusInvalidated
                                            : cudaStreamCaptureStatusActive;
    return cudaSuccess;
  });
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  return api([&] {
    *executable = nullptr;
    if (!graphs.contain(graph)) return cudaErrorInvalidValue;
    *executable = executables.create();
    (*executable)->nodes = std::make_shared<const std::vector<Work>>(graph->nodes);
    return cudaSuccess;
  });
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t handle) {
  return on_stream(handle, [&](CUstream_st& stream) {
    if (!executables.contain(executable)) return cudaErrorInvalidValue;
    return append(stream, [nodes = executable->nodes] {
      ++stats.graph_launches;
      for (const Work& work : *nodes) work();
    });
  });
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  return api([&] { return graphs.destroy(graph); });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  return api([&] { return executables.destroy(executable); });
}
