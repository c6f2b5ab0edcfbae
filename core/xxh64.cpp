#include "core/xxh64.h"

#include <array>
#include <bit>
#include <cstring>

namespace mixgrad {
namespace {

static_assert(std::endian::native == std::endian::little, "words are read as they are");

constexpr std::uint64_t prime1 = 0x9E3779B185EBCA87, prime2 = 0xC2B2AE3D27D4EB4F, prime3 = 0x165667B19E3779F9,
                        prime4 = 0x85EBCA77C2B2AE63, prime5 = 0x27D4EB2F165667C5;

std::uint64_t mixed(std::uint64_t lane, std::uint64_t word) { return std::rotl(lane + word * prime2, 31) * prime1; }

// Removes the first word from the bytes and returns it.
template <class Word>
std::uint64_t pop_word(std::span<const std::byte>& bytes) {
  Word word;
  std::memcpy(&word, bytes.data(), sizeof word);
  bytes = bytes.subspan(sizeof word);
  return word;
}

}  // namespace

std::uint64_t xxh64(std::span<const std::byte> bytes, std::uint64_t seed) {
  const std::uint64_t size = bytes.size();
  std::uint64_t hash = seed + prime5;
  if (size >= 32) {
    std::array<std::uint64_t, 4> lanes{seed + prime1 + prime2, seed + prime2, seed, seed - prime1};
    while (bytes.size() >= 32)
      for (std::uint64_t& lane : lanes) lane = mixed(lane, pop_word<std::uint64_t>(bytes));
    hash = std::rotl(lanes[0], 1) + std::rotl(lanes[1], 7) + std::rotl(lanes[2], 12) + std::rotl(lanes[3], 18);
    for (const std::uint64_t lane : lanes) hash = (hash ^ mixed(0, lane)) * prime1 + prime4;
  }
  hash += size;
  while (bytes.size() >= 8) hash = std::rotl(hash ^ mixed(0, pop_word<std::uint64_t>(bytes)), 27) * prime1 + prime4;
  if (bytes.size() >= 4) hash = std::rotl(hash ^ pop_word<std::uint32_t>(bytes) * prime1, 23) * prime2 + prime3;
  while (!bytes.empty()) hash = std::rotl(hash ^ pop_word<std::uint8_t>(bytes) * prime5, 11) * prime1;
  hash = (hash ^ hash >> 33) * prime2;
  hash = (hash ^ hash >> 29) * prime3;
  return hash ^ hash >> 32;
}

}  // namespace mixgrad
