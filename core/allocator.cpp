#include "core/allocator.h"

#include <algorithm>
#include <bit>
#include <mutex>
#include <new>
#include <unordered_map>
#include <vector>

#include "core/large_blocks.h"

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

constexpr std::size_t large = std::size_t{1} << 20, large_step = std::size_t{1} << 16;  // bytes

// Size classes are 64 bytes and then four steps per power of two, so at most a quarter of a block is slack; large
// blocks are cut to multiples of 64 KB.
std::size_t size_class(std::size_t bytes) {
  if (bytes >= large) return (bytes + large_step - 1) / large_step * large_step;
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
  std::size_t piece;  // bytes that are asked for at least where a block has 16 MB or more
};

class CachingAllocator {
 public:
  explicit CachingAllocator(MemorySource source) : source_(source) {}

  void* allocate(std::size_t bytes) {
    check(bytes < std::size_t{1} << 62, "out of memory: tried to allocate ", bytes, " bytes");
    const std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    LargeBlocks::Taken taken = take(pools_[open_], size);
    if (taken.memory) {
      stats_.bytes_cached -= taken.size;
      ++stats_.hits;
    } else {
      taken = is_large(size) ? take_from_system(size) : LargeBlocks::Taken{system_allocate(size), size};
      ++stats_.misses;
    }
    if (open_ != shared_pool) private_.insert_or_assign(taken.memory, open_);
    stats_.bytes_in_use += taken.size;
    stats_.peak_in_use = std::max(stats_.peak_in_use, stats_.bytes_in_use);
    return taken.memory;
  }

  void deallocate(void* memory, std::size_t bytes) noexcept {
    std::size_t size = block_size(bytes);
    const std::scoped_lock lock(mutex_);
    const auto found = private_.empty() ? private_.end() : private_.find(memory);
    const std::uint32_t id = found == private_.end() ? shared_pool : found->second;
    try {
      if (is_large(size)) {
        size = pools_[id].large_blocks.give_back(memory);
      } else if (id == shared_pool && open_ == shared_pool && !allocator_caches()) {
        stats_.bytes_in_use -= size;
        return source_.deallocate(memory);
      } else {
        pools_[id].small[size].push_back(memory);
      }
      stats_.bytes_in_use -= size;
      stats_.bytes_cached += size;
    } catch (const std::bad_alloc&) {  // no memory to record the block: it stays in use
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
    return open_ = ++last_pool_;
  }
  void close_pool() {
    const std::scoped_lock lock(mutex_);
    open_ = shared_pool;
    if (!allocator_caches()) release_locked(shared_pool);
  }
  void release_pool(std::uint32_t id) {
    const std::scoped_lock lock(mutex_);
    release_locked(id);
    pools_[shared_pool].large_blocks.merge(std::move(pools_[id].large_blocks));
    pools_.erase(id);
    std::erase_if(private_, [=](const auto& block) { return block.second == id; });
  }

 private:
  struct Pool {
    std::unordered_map<std::size_t, std::vector<void*>> small;  // free ones, by size class
    LargeBlocks large_blocks;
  };
  static constexpr std::uint32_t shared_pool = 0;
  static bool is_large(std::size_t size) { return size >= large && allocator_caches(); }

  // A free block, or null.
  static LargeBlocks::Taken take(Pool& pool, std::size_t size) {
    if (is_large(size)) return pool.large_blocks.take(size, large);
    const auto found = pool.small.find(size);
    if (found == pool.small.end() || found->second.empty()) return {};
    void* const memory = found->second.back();
    found->second.pop_back();
    return {memory, size};
  }

  // A block cut from a new piece; the piece is no larger than the block if the system has no memory for more.
  LargeBlocks::Taken take_from_system(std::size_t size) {
    const std::size_t wanted = size >= large * 16 ? std::max(size, source_.piece) : size;
    void* memory = wanted > size ? source_.allocate(wanted) : nullptr;
    const std::size_t piece = memory ? wanted : size;
    if (!memory) memory = system_allocate(size);
    LargeBlocks& blocks = pools_[open_].large_blocks;
    blocks.add(memory, piece);
    blocks.give_back(memory);
    const LargeBlocks::Taken taken = blocks.take(size, large);
    stats_.bytes_cached += piece - taken.size;
    return taken;
  }

  void* system_allocate(std::size_t size) {
    if (void* memory = source_.allocate(size)) return memory;
    if (open_ == shared_pool) {  // freeing blocks of other sizes may make room
      release_locked(shared_pool);
      if (void* memory = source_.allocate(size)) return memory;
    }
    fail("out of memory: tried to allocate ", size, " bytes, ", stats_.bytes_in_use, " are in use");
  }

  void release_locked(std::uint32_t id) {
    Pool& pool = pools_[id];
    for (auto& [size, blocks] : pool.small) {
      for (void* memory : blocks) source_.deallocate(memory);
      stats_.bytes_cached -= size * blocks.size();
    }
    pool.small.clear();
    stats_.bytes_cached -= pool.large_blocks.release([&](void* memory) { source_.deallocate(memory); });
  }

  MemorySource source_;
  std::mutex mutex_;
  std::unordered_map<std::uint32_t, Pool> pools_;
  std::unordered_map<void*, std::uint32_t> private_;  // the pool of each block that is not of the shared one
  std::uint32_t open_ = shared_pool, last_pool_ = 0;  // the pool that is allocated from
  AllocatorStats stats_;
};

// A page counts only once it is written to; so pieces are large, that all blocks may become one again.
constexpr MemorySource host_memory{[](std::size_t bytes) { return ::operator new(bytes, alignment, std::nothrow); },
                                   [](void* memory) noexcept { ::operator delete(memory, alignment); },
                                   std::size_t{1} << 30};

// Never destroyed: tensors with static storage duration may be freed after every local static is gone.
CachingAllocator& allocator_of(Device device) {
  static CachingAllocator& host = *new CachingAllocator(host_memory);
  if (device == cpu) return host;
#ifdef MIXGRAD_WITH_CUDA
  static CachingAllocator& on_cuda = *new CachingAllocator({cuda_allocate, cuda_deallocate, 0});
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
