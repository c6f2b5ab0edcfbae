// Memory from the heap, aligned, freed with its handle.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

namespace executor {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
using HeapBlock = std::unique_ptr<std::byte[], Free>;

// Null when there is no memory. `alignment`: a power of two.
inline HeapBlock heap_block(std::size_t bytes, std::size_t alignment) {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes ? bytes : 1) != 0) return {};
  return HeapBlock(static_cast<std::byte*>(memory));
}

}  // namespace executor
