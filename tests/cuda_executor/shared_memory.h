// The shared memory of the running kernel's blocks, which run one after another in the same memory. Each array is a
// heap block of its own, so that AddressSanitizer sees an overrun to the byte.
#pragma once

#include <cstddef>

namespace executor {

inline constexpr std::size_t default_shared_memory = 48 * 1024;  // bytes per block, unless cudaFuncSetAttribute

// `limit`: bytes that static and dynamic arrays may take together.
void begin_shared_memory(std::size_t dynamic_bytes, std::size_t limit);
void poison_shared_memory();  // at the start of each block
void end_shared_memory();

}  // namespace executor
