// The caching allocator: freed memory is kept and reused for the next tensor of its size class, or from 1 MB on cut to
// the size of the next (core/large_blocks.h), so that a training step in steady state requests nothing from the system.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/device.h"

namespace mixgrad {

struct AllocatorStats {
  std::uint64_t hits = 0;        // requests served from the cache
  std::uint64_t misses = 0;      // requests passed on to the system
  std::size_t bytes_in_use = 0;  // currently allocated, rounded up to size classes
  std::size_t bytes_cached = 0;  // cached, free for reuse
  std::size_t peak_in_use = 0;   // the largest bytes_in_use so far
};

// Memory of at least `bytes` bytes, aligned to 64. Thread-safe. Throws "out of memory: tried to allocate ...".
void* allocate(Device device, std::size_t bytes);
void deallocate(Device device, void* memory, std::size_t bytes) noexcept;

AllocatorStats allocator_stats(Device device = cpu);
// While it lives, allocations on the device come from its own pool: memory that is given to nobody else, even once it
// is free, because a captured step (core/graph.h) writes to it again at each replay. At most one is alive per device.
class PrivatePool : NonCopyable {
 public:
  explicit PrivatePool(Device device);
  ~PrivatePool();  // releases the pool unless it is kept
  std::uint32_t keep() {
    kept_ = true;
    return id_;
  }

 private:
  Device device_;
  std::uint32_t id_;
  bool kept_ = false;
};
// Returns the pool's free memory to the system; memory in use becomes ordinary memory.
void release_pool(Device device, std::uint32_t id) noexcept;

// Returns all cached memory to the system, except that of private pools, and what was cut from the same piece as a
// large block in use.
void release_cache(Device device = cpu);
// False under AddressSanitizer, where caching would hide every use after free: each request is then a miss.
bool allocator_caches();

namespace host {

// Scratch memory of a CPU kernel: `count` floats or doubles, aligned to 64 bytes, uninitialised, freed at scope exit.
// Throws as allocate does.
template <class T = float>
class Scratch : NonCopyable {
 public:
  explicit Scratch(std::int64_t count)
      : bytes_(static_cast<std::size_t>(count) * sizeof(T)), data_(static_cast<T*>(allocate(cpu, bytes_))) {}
  ~Scratch() { deallocate(cpu, data_, bytes_); }
  T* data() const { return data_; }

 private:
  std::size_t bytes_;
  T* data_;
};

}  // namespace host

}  // namespace mixgrad
