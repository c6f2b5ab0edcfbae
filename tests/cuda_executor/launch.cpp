#include "launch.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "api.h"
#include "block.h"
#include "device_memory.h"
#include "fibers.h"
#include "shared_memory.h"
#include "streams.h"

namespace executor {
namespace {

constexpr std::size_t max_grid_x = 0x7fffffff, max_grid_yz = 65535, max_block_z = 64;

std::map<const void*, std::size_t> dynamic_limits;  // bytes, where cudaFuncSetAttribute has set them

std::size_t volume(dim3 extent) { return std::size_t{extent.x} * extent.y * extent.z; }

bool is_valid(dim3 grid, dim3 block) {
  return block.x <= max_fibers && block.y <= max_fibers && block.z <= max_block_z && volume(block) > 0 &&
         volume(block) <= max_fibers && grid.x <= max_grid_x && grid.y <= max_grid_yz && grid.z <= max_grid_yz &&
         volume(grid) > 0;
}

// The blocks of a grid, by number, as the schedule orders them.
std::vector<std::size_t> block_order(std::size_t blocks) {
  std::vector<std::size_t> order(blocks);
  std::iota(order.begin(), order.end(), 0);
  if (schedule.order == Order::reverse) std::reverse(order.begin(), order.end());
  if (schedule.order == Order::random)
    std::shuffle(order.begin(), order.end(), std::minstd_rand(static_cast<unsigned>(schedule.seed)));
  return order;
}

void run_grid(const std::function<void()>& kernel, dim3 grid, dim3 block, std::size_t dynamic_bytes,
              std::size_t shared_limit, bool must_wait) {
  struct SharedMemory {
    ~SharedMemory() { end_shared_memory(); }
  } const shared_memory;
  begin_shared_memory(dynamic_bytes, shared_limit);
  gridDim = grid;
  blockDim = block;
  ++stats.launches;
  std::optional<NoDeviceAccess> before_waiting;
  if (must_wait) before_waiting.emplace();
  for (const std::size_t i : block_order(volume(grid))) {
    blockIdx = {static_cast<unsigned>(i % grid.x), static_cast<unsigned>(i / grid.x % grid.y),
                static_cast<unsigned>(i / grid.x / grid.y)};
    // The first block's threads all wait before one of them may touch the device's memory.
    if (before_waiting) run_block(kernel, must_wait, [&] { before_waiting->end(); });
    else run_block(kernel, must_wait);
    before_waiting.reset();
  }
}

}  // namespace

cudaError_t launch_grid(std::function<void()> kernel, const void* function, dim3 grid, dim3 block,
                        std::size_t dynamic_bytes, cudaStream_t stream, bool beside_previous) {
  return api([&] {
    if (machine.compute_capability_major < 8) return cudaErrorNoKernelImageForDevice;
    if (!is_valid(grid, block)) return cudaErrorInvalidConfiguration;
    const auto raised = dynamic_limits.find(function);
    const bool is_raised = raised != dynamic_limits.end();
    if (dynamic_bytes > (is_raised ? raised->second : default_shared_memory)) return cudaErrorInvalidValue;
    const std::size_t limit =
        is_raised ? std::max(default_shared_memory, machine.shared_memory_per_block) : default_shared_memory;
    return enqueue(stream, [=, kernel = std::move(kernel)] {
      run_grid(kernel, grid, block, dynamic_bytes, limit, beside_previous);
    });
  });
}

}  // namespace executor

using namespace executor;

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  return api([&] {
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize || value < 0 ||
        static_cast<std::size_t>(value) > machine.shared_memory_per_block)
      return cudaErrorInvalidValue;
    dynamic_limits[kernel] = static_cast<std::size_t>(value);
    return cudaSuccess;
  });
}
