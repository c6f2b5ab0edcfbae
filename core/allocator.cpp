#include "core/allocator.h"

#include <algorithm>
#include <bit>
#include <map>
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

// Under AddressSanitizer sizes are not rounded, so that an overrun by one byte is detected.
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
    check(bytes < std::size_t{1} << 62, "out of memory: tried to allocate ", bytes, " bytes");
    const std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    void* memory = nullptr;
    FreeBlocks& free = free_blocks(pool_);
    std::size_t taken = size;
    if (const auto found = smallest_block(free, size); found != free.end()) {
      taken = found->first;
      memory = found->second.back();
      found->second.pop_back();
      if (found->second.empty()) free.erase(found);
      stats_.bytes_cached -= taken;
      ++stats_.hits;
      if (taken != size) lent_.emplace(memory, taken);
    } else {
      memory = system_allocate(size);
      if (pool_ != shared_pool) private_.emplace(memory, pool_);
      ++stats_.misses;
    }
    stats_.bytes_in_use += taken;
    stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.bytes_in_use);
    return memory;
  }

  void deallocate(void* memory, std::size_t bytes) noexcept {
    std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    if (const auto lent = lent_.find(memory); size >= large && lent != lent_.end()) {
      size = lent->second;
      lent_.erase(lent);
    }
    stats_.bytes_in_use -= size;
    const auto found = private_.empty() ? private_.end() : private_.find(memory);
    const std::uint32_t pool = found == private_.end() ? shared_pool : found->second;
    if (pool == shared_pool && pool_ == shared_pool && !allocator_caches()) return source_.deallocate(memory);
    try {
      free_blocks(pool)[size].push_back(memory);
      stats_.bytes_cached += size;
    } catch (const std::bad_alloc&) {  // no memory to record the block: free it instead
      private_.erase(memory);
      source_.deallocate(memory);
    }
  }

  AllocatorStats stats() {
    const std::scoped_lock lock(mutex_);
    return stats_;
  }

  void release() {
    const std::scoped_lock lock(mutex_);
    release_locked(shared_pool);
  }

  // While a pool is open, no memory is returned to the system: that synchronises a GPU, which is illegal during
  // capture.
  std::uint32_t open_pool() {
    const std::scoped_lock lock(mutex_);
    return pool_ = ++last_pool_;
  }
  void close_pool() {
    const std::scoped_lock lock(mutex_);
    pool_ = shared_pool;
    if (!allocator_caches()) release_locked(shared_pool);
  }
  void release_pool(std::uint32_t pool) {
    const std::scoped_lock lock(mutex_);
    release_locked(pool);
    std::erase_if(private_, [=](const auto& block) { return block.second == pool; });
  }

 private:
  using FreeBlocks = std::map<std::size_t, std::vector<void*>>;  // by size class; none is empty
  static constexpr std::size_t large = std::size_t{1} << 20;     // bytes
  static constexpr std::uint32_t shared_pool = 0;

  // A block of this size, or for a large one the smallest that is at most twice as large; end() where there is none.
  static FreeBlocks::iterator smallest_block(FreeBlocks& free, std::size_t size) {
    const auto found = free.lower_bound(size);
    return found != free.end() && found->first <= (size >= large ? 2 * size : size) ? found : free.end();
  }

  void* system_allocate(std::size_t size) {
    if (void* memory = source_.allocate(size)) return memory;
    if (pool_ == shared_pool) {  // freeing blocks of other sizes may make room
      release_locked(shared_pool);
      if (void* memory = source_.allocate(size)) return memory;
    }
    fail("out of memory: tried to allocate ", size, " bytes, ", stats_.bytes_in_use, " are in use");
  }

  void release_locked(std::uint32_t pool) {
    for (auto& [size, blocks] : free_blocks(pool)) {
      for (void* memory : blocks) source_.deallocate(memory);
      stats_.bytes_cached -= size * blocks.size();
    }
    if (pool == shared_pool) free_.clear();
    else private_free_.erase(pool);
  }

  FreeBlocks& free_blocks(std::uint32_t pool) { return pool == shared_pool ? free_ : private_free_[pool]; }

  MemorySource source_;
  std::mutex mutex_;
  FreeBlocks free_;                                             // of the shared pool
  std::unordered_map<std::uint32_t, FreeBlocks> private_free_;  // by pool
  std::unordered_map<void*, std::size_t> lent_;                 // the sizes of large blocks that serve smaller requests
  std::unordered_map<void*, std::uint32_t> private_;            // the pool of each block that is not of the shared one
  std::uint32_t pool_ = shared_pool, last_pool_ = 0;            // what is allocated comes from pool_
  AllocatorStats stats_;
};

constexpr MemorySource host_memory{[](std::size_t bytes) { return ::operator new(bytes, alignment, std::nothrow); },
                                   [](void* memory) noexcept { ::operator delete(memory, alignment); }};

// Never destroyed: tensors with static storage duration may be freed after every local static is gone.
CachingAllocator& allocator_of(Device device) {
  static CachingAllocator& host = *new CachingAllocator(host_memory);
  if (device == cpu) return host;
#ifdef MIXGRAD_WITH_CUDA
  static CachingAllocator& on_cuda = *new CachingAllocator({cuda_allocate, cuda_deallocate});
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

PrivatePool::PrivatePool(Device device) : device_(device), id_(allocator_of(device).open_pool()) {}
PrivatePool::~PrivatePool() {
  allocator_of(device_).close_pool();
  if (!kept_) release_pool(device_, id_);
}
void release_pool(Device device, std::uint32_t id) noexcept { allocator_of(device).release_pool(id); }

bool allocator_caches() {
#ifdef MIXGRAD_ASAN
  return false;
#else
  return true;
#endif
}

}  // namespace mixgrad
