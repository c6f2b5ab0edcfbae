#include "core/allocator.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#ifdef MIXGRAD_WITH_CUDA
#include "core/cuda.h"
#endif

#if defined(__SANITIZE_ADDRESS__)
#define MIXGRAD_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MIXGRAD_ASAN 1
#endif
#endif

namespace mixgrad {
namespace {

constexpr std::align_val_t alignment{64};

// Size classes are 64 bytes and then four steps per power of two, so at most a quarter of a block is slack.
std::size_t size_class(std::size_t bytes) {
  bytes = std::max<std::size_t>(bytes, 64);
  const std::size_t step = std::max<std::size_t>(std::bit_floor(bytes - 1) / 4, 64);
  return (bytes + step - 1) / step * step;
}

// Under AddressSanitizer sizes stay as they are, so that an overrun by one byte is seen.
std::size_t block_size(std::size_t bytes) {
  return allocator_caches() ? size_class(bytes) : std::max<std::size_t>(bytes, 1);
}

// Where a device's memory comes from; allocate gives null when there is none left.
struct MemorySource {
  void* (*allocate)(std::size_t bytes);
  void (*deallocate)(void* memory) noexcept;
};

class CachingAllocator {
 public:
  explicit CachingAllocator(MemorySource source) : source_(source) {}

  void* allocate(std::size_t bytes) {
    check(bytes < std::size_t{1} << 62, "out of memory: asked for ", bytes, " bytes");
    const std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    void* memory = nullptr;
    if (auto found = free_.find(size); found != free_.end() && !found->second.empty()) {
      memory = found->second.back();
      found->second.pop_back();
      stats_.bytes_cached -= size;
      ++stats_.hits;
    } else {
      memory = system_allocate(size);
      ++stats_.misses;
    }
    stats_.bytes_in_use += size;
    stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.bytes_in_use);
    return memory;
  }

  void deallocate(void* memory, std::size_t bytes) noexcept {
    const std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    stats_.bytes_in_use -= size;
    if (!allocator_caches()) return source_.deallocate(memory);
    try {
      free_[size].push_back(memory);
      stats_.bytes_cached += size;
    } catch (const std::bad_alloc&) {  // no room to remember the block: give it back instead
      source_.deallocate(memory);
    }
  }

  AllocatorStats stats() {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }

  void release() {
    const std::scoped_lock lock(mutex_);
    release_locked();
  }

 private:
  void* system_allocate(std::size_t size) {
    if (void* memory = source_.allocate(size)) return memory;
    release_locked();  // what is cached in other sizes may make room
    if (void* memory = source_.allocate(size)) return memory;
    fail("out of memory: asked for ", size, " bytes, holding ", stats_.bytes_in_use);
  }

  void release_locked() {
    for (auto& [size, blocks] : free_)
      for (void* memory : blocks) source_.deallocate(memory);
    free_.clear();
    stats_.bytes_cached = 0;
  }

  MemorySource source_;
  std::mutex mutex_;
  std::unordered_map<std::size_t, std::vector<void*>> free_;  // by size class
  AllocatorStats stats_;
};

constexpr MemorySource host_memory{[](std::size_t bytes) { return ::operator new(bytes, alignment, std::nothrow); },
                                   [](void* memory) noexcept { ::operator delete(memory, alignment); }};

// Never destroyed: tensors with static storage duration may be freed after every local static is gone.
CachingAllocator& allocator_of(Device device) {
  alignas(CachingAllocator) static unsigned char host_place[sizeof(CachingAllocator)];
  static CachingAllocator& host = *::new (host_place) CachingAllocator(host_memory);
  if (device == cpu) return host;
#ifdef MIXGRAD_WITH_CUDA
  alignas(CachingAllocator) static unsigned char cuda_place[sizeof(CachingAllocator)];
  static CachingAllocator& on_cuda = *::new (cuda_place) CachingAllocator({cuda_allocate, cuda_deallocate});
  return on_cuda;
#else
  check_available(device);
  return host;
#endif
}

}  // namespace

void* allocate(Device device, std::size_t bytes) { return allocator_of(device).allocate(bytes); }
void deallocate(Device device, void* memory, std::size_t bytes) noexcept {
  allocator_of(device).deallocate(memory, bytes);
}
AllocatorStats allocator_stats(Device device) { return allocator_of(device).stats(); }
void release_cache(Device device) { allocator_of(device).release(); }

bool allocator_caches() {
#ifdef MIXGRAD_ASAN
  return false;
#else
  return true;
#endif
}

}  // namespace mixgrad
