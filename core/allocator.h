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

// `count` floats, or doubles, on the CPU while it lives, for a kernel's own use: aligned to 64 bytes, not initialised.
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

AllocatorStats allocator_stats(Device device = cpu);
// While it lives, what is allocated on the device comes from a pool of its own: memory that nobody else is given, even
// once it is free, because a captured step (core/graph.h) writes to it again at each replay. Not for two at once.
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
// The pool's free memory goes back to the system; what is in use becomes memory like any other.
void release_pool(Device device, std::uint32_t id) noexcept;

// Gives all cached memory back to the system, but for that of private pools.
void release_cache(Device device = cpu);
// False under AddressSanitizer, where caching would hide every use after free: then each request is a miss.
bool allocator_caches();

}  // namespace mixgrad
