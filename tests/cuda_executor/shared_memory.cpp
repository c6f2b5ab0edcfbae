#include "shared_memory.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <vector>

#include "block.h"
#include "executor.h"
#include "heap_block.h"
#include "sanitizer.h"

namespace executor {
namespace {

// The array follows `margin` bytes that nobody may touch. It is aligned to `alignment`, never by luck to twice as much
// (from 8 bytes up), so that UndefinedBehaviorSanitizer sees a float4 read from an array of floats.
class Array {
 public:
  Array(const void* key, std::size_t bytes, std::size_t alignment) : key_(key), bytes_(bytes) {
    const std::size_t margin = std::max<std::size_t>(alignment, 8);
    block_ = heap_block(margin + bytes, 2 * margin);
    if (!block_) throw std::bad_alloc();
    forbid_access(block_.get(), margin);
    data_ = block_.get() + margin;
    poison();
  }
  const void* key() const { return key_; }
  std::size_t bytes() const { return bytes_; }
  std::byte* data() const { return data_; }
  void poison() { std::memset(data_, schedule.poison, bytes_); }

 private:
  const void* key_;
  std::size_t bytes_;
  HeapBlock block_;
  std::byte* data_;
};

constexpr std::size_t dynamic_alignment = 16;

std::vector<Array> arrays;  // of the running kernel
std::size_t memory_limit = 0;
const char dynamic_key = 0;

std::size_t bytes_used() {
  std::size_t bytes = 0;
  for (const Array& array : arrays) bytes += array.bytes();
  return bytes;
}

void* find(const void* key) {
  for (const Array& array : arrays)
    if (array.key() == key) return array.data();
  return nullptr;
}

}  // namespace

void begin_shared_memory(std::size_t dynamic_bytes, std::size_t limit) {
  memory_limit = limit;
  if (dynamic_bytes > 0) arrays.emplace_back(&dynamic_key, dynamic_bytes, dynamic_alignment);
}

void poison_shared_memory() {
  for (Array& array : arrays) array.poison();
}

void end_shared_memory() { arrays.clear(); }

void* static_shared_memory(const void* key, std::size_t bytes, std::size_t alignment, Location where) {
  if (void* known = find(key)) return known;
  const std::size_t used = bytes_used(), dynamic = find(&dynamic_key) ? arrays.front().bytes() : 0;
  if (used - dynamic + bytes > default_shared_memory)
    fault(where, "%zu bytes of static shared memory: more than 48 KiB", used - dynamic + bytes);
  if (used + bytes > memory_limit)
    fault(where, "%zu bytes of shared memory: more than the %zu that the launch may have", used + bytes, memory_limit);
  arrays.emplace_back(key, bytes, alignment);
  return arrays.back().data();
}

void* dynamic_shared_memory(Location where) {
  if (void* known = find(&dynamic_key)) return known;
  fault(where, "dynamic shared memory, but the kernel was launched with 0 bytes of it");
}

}  // namespace executor
