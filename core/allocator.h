// The caching allocator: memory a tensor gives back is kept and handed to the next tensor of its size class, so
// that a training step in steady state asks the system for nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace mixgrad {

struct AllocatorStats {
  std::uint64_t hits = 0;        // requests served from the cache
  std::uint64_t misses = 0;      // requests that went to the system
  std::size_t bytes_in_use = 0;  // handed out now, rounded up to size classes
  std::size_t bytes_cached = 0;  // held, free for reuse
  std::size_t peak_in_use = 0;   // the largest bytes_in_use so far
};

// Memory of at least `bytes` bytes, aligned to 64. Thread-safe. Throws "out of memory: asked for ..., holding ...".
void* allocate(Device device, std::size_t bytes);
void deallocate(Device device, void* memory, std::size_t bytes) noexcept;

AllocatorStats allocator_stats(Device device = cpu);
// Gives all cached memory back to the system.
void release_cache(Device device = cpu);
// False under AddressSanitizer, where caching would hide every use after free: then each request is a miss.
bool allocator_caches();

}  // namespace mixgrad
