#include "device_memory.h"

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "api.h"
#include "heap_block.h"
#include "launch.h"
#include "sanitizer.h"
#include "streams.h"

namespace executor {
namespace {

struct Allocation {
  HeapBlock memory;
  std::size_t bytes;
};
using Allocations = std::map<const std::byte*, Allocation, std::less<>>;
Allocations device, pinned;
std::size_t bytes_in_use = 0;  // of the device
int accesses = 0;              // DeviceAccess alive

// The allocation that holds the byte, or null.
const Allocation* find(const Allocations& allocations, const void* memory) {
  const auto* byte = static_cast<const std::byte*>(memory);
  auto after = allocations.upper_bound(byte);
  if (after == allocations.begin()) return nullptr;
  const auto& [start, allocation] = *--after;
  return byte <= start + allocation.bytes ? &allocation : nullptr;
}

cudaError_t allocate(Allocations& allocations, void** memory, std::size_t bytes, std::size_t alignment) {
  *memory = nullptr;
  if (bytes == 0) return cudaSuccess;
  HeapBlock block = heap_block(bytes, alignment);
  if (!block) return cudaErrorMemoryAllocation;
  ++stats.allocations;
  std::memset(block.get(), schedule.poison, bytes);
  *memory = block.get();
  allocations[static_cast<const std::byte*>(*memory)] = {std::move(block), bytes};
  return cudaSuccess;
}

// CUDA waits for all work before it frees.
cudaError_t free(Allocations& allocations, void* memory) {
  if (!memory) return cudaSuccess;
  if (const cudaError_t error = synchronize_device(); error != cudaSuccess) return error;
  ++stats.frees;
  const auto found = allocations.find(static_cast<const std::byte*>(memory));
  if (found == allocations.end()) return cudaErrorInvalidValue;
  if (&allocations == &device) bytes_in_use -= found->second.bytes;
  allocations.erase(found);
  return cudaSuccess;
}

// Whether a copy may go to (or come from) this memory: on the right side, and within a block.
bool fits(const void* memory, std::size_t bytes, bool on_device) {
  return (residence(memory) == Residence::device) == on_device && range_is_valid(memory, bytes);
}

void copy(void* to, const void* from, std::size_t bytes) {
  ++stats.copies;
  std::memcpy(to, from, bytes);
}

}  // namespace

Residence residence(const void* memory) {
  if (find(device, memory)) return Residence::device;
  return find(pinned, memory) ? Residence::pinned : Residence::pageable;
}

bool range_is_valid(const void* memory, std::size_t bytes) {
  for (const Allocations* allocations : {&device, &pinned})
    if (const Allocation* found = find(*allocations, memory))
      return bytes <=
             found->bytes - static_cast<std::size_t>(static_cast<const std::byte*>(memory) - found->memory.get());
  return true;
}

namespace {
void allow_device_access() {
  for (const auto& [start, allocation] : device) allow_access(start, allocation.bytes);
}
void forbid_device_access() {
  for (const auto& [start, allocation] : device) forbid_access(start, allocation.bytes);
}
}  // namespace

DeviceAccess::DeviceAccess() {
  if (accesses++ == 0) allow_device_access();
}

DeviceAccess::~DeviceAccess() {
  if (--accesses == 0) forbid_device_access();
}

NoDeviceAccess::NoDeviceAccess() { forbid_device_access(); }

void NoDeviceAccess::end() {
  if (!std::exchange(ended_, true)) allow_device_access();
}

void check_pointer(int number, const void* pointer) {
  const std::scoped_lock lock(api_mutex());
  if (pointer && residence(pointer) != Residence::device)
    throw Error("launch: argument " + std::to_string(number) + " of the kernel points to host memory");
}

}  // namespace executor

using namespace executor;

cudaError_t cudaMalloc(void** memory, std::size_t bytes) {
  return api([&] {
    *memory = nullptr;
    if (const cudaError_t error = forbidden_while_capturing(); error != cudaSuccess) return error;
    if (bytes > machine.memory || bytes_in_use > machine.memory - bytes) return cudaErrorMemoryAllocation;
    const cudaError_t error = allocate(device, memory, bytes, 256);
    if (error != cudaSuccess || bytes == 0) return error;
    bytes_in_use += bytes;
    forbid_access(*memory, bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaFree(void* memory) {
  return api([&] { return free(device, memory); });
}

cudaError_t cudaMallocHost(void** memory, std::size_t bytes) {
  return api([&] {
    const cudaError_t error = forbidden_while_capturing();
    return error == cudaSuccess ? allocate(pinned, memory, bytes, 4096) : error;
  });
}

cudaError_t cudaFreeHost(void* memory) {
  return api([&] { return free(pinned, memory); });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  return api([&] {
    *total = machine.memory;
    *free = machine.memory - bytes_in_use;
    return cudaSuccess;
  });
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  return api([&] {
    if (bytes == 0) return cudaSuccess;
    const bool to_device = kind == cudaMemcpyDefault
                               ? residence(to) == Residence::device
                               : kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    const bool from_device = kind == cudaMemcpyDefault
                                 ? residence(from) == Residence::device
                                 : kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (!fits(to, bytes, to_device) || !fits(from, bytes, from_device)) return cudaErrorInvalidValue;
    if (residence(from) != Residence::pageable && residence(to) != Residence::pageable)
      return enqueue(stream, [=] { copy(to, from, bytes); });
    if (const cudaError_t error = forbidden_in(stream); error != cudaSuccess) return error;
    if (residence(from) != Residence::pageable) return enqueue(stream, [=] { copy(to, from, bytes); });
    // Pageable memory is read before the call returns.
    const auto* first = static_cast<const std::byte*>(from);
    return enqueue(stream,
                   [=, staged = std::vector<std::byte>(first, first + bytes)] { copy(to, staged.data(), bytes); });
  });
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return api([&] {
    if (bytes == 0) return cudaSuccess;
    if (!fits(to, bytes, true)) return cudaErrorInvalidValue;
    return enqueue(stream, [=] { std::memset(to, value, bytes); });
  });
}
