// Streams: queues of work, done when it is queued or, with schedule.lazy_streams, when the host synchronises.
#pragma once

#include <functional>

#include "cuda_runtime_api.h"

namespace executor {

using Work = std::function<void()>;

// Appends work that may touch device memory, or adds it to the graph that the stream captures.
cudaError_t enqueue(cudaStream_t stream, Work work);

// cudaDeviceSynchronize.
cudaError_t synchronize_device();

// For a call that must not be made while any stream captures (unless in relaxed mode): if one does, spoils its capture
// and returns cudaErrorStreamCaptureUnsupported.
cudaError_t forbidden_while_capturing();
// The same for a call that only this stream's own capture forbids, in any mode.
cudaError_t forbidden_in(cudaStream_t stream);

}  // namespace executor
