// XXH64 (Yann Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md): a fast hash that tells whether bytes are still
// what they were. It withstands accidents, not an adversary.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mixgrad {

// Chained by its seed, xxh64(b, xxh64(a)), it stands for several pieces of memory.
std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace mixgrad
