// XXH64 (Yann Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md): a fast hash that detects accidental changes of
// data, not malicious ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mixgrad {

// Chained through its seed, xxh64(b, xxh64(a)), it covers several pieces of memory.
std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed = 0);

}  // namespace mixgrad
