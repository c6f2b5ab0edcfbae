#include "core/step_random.h"

namespace mixgrad {
namespace {
thread_local Tensor first_on_device;
thread_local std::uint32_t begin = 0;  // random_state().streams when it was set
}  // namespace

StepStreamsFrom::StepStreamsFrom(const Tensor& first)
    : first_(first_on_device, first), begin_(begin, random_state().streams) {}

StepStream next_step_stream() { return {default_seed(), next_stream_index() - begin, first_on_device}; }

}  // namespace mixgrad
