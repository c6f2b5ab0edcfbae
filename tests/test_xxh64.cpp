// XXH64 against its reference implementation.
#include <doctest/doctest.h>

#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "core/xxh64.h"

using mixgrad::xxh64;

namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

}  // namespace

TEST_CASE("xxh64: is that of the reference implementation, for every length of what is left over") {
  struct Case {
    std::size_t size;
    std::uint64_t hash, seeded;
  };
  constexpr std::uint64_t seed = 0x9E3779B185EBCA87;
  std::string text;
  for (int i = 0; i < 1000; ++i) text += static_cast<char>(7 * i % 251);
  for (const Case& c : {Case{0, 0xef46db3751d8e999, 0x6ec6d05f61c7e7a7},
                        {1, 0xe934a84adb052768, 0x60508b0ced72c717},
                        {3, 0x9ff70a635a6209ab, 0xcca40238838ee5c2},
                        {4, 0xae5acdc00a55ac41, 0x83827d3dd32ee39c},
                        {7, 0xd734a6b26f3da63e, 0xaf0db5db6a293fb4},
                        {8, 0x87116b3365b924eb, 0x2447bd242467a7e4},
                        {12, 0x14b8433b9a14e611, 0x47daba564a66ea2b},
                        {31, 0x0f187c62b1e722b7, 0x0683ec96c3276482},
                        {32, 0x91b0cb0931a8c629, 0xd291ca18230d9589},
                        {33, 0x931b043cf8d65b94, 0xd87ae9b6167dc27d},
                        {63, 0x575186c12dcebcfd, 0x847a85416b0114cd},
                        {64, 0xab64977b5af9d022, 0xa636a20421d76c14},
                        {100, 0xb7fe1d84b2f23a05, 0xe1ef60ee7111761a},
                        {222, 0xbb10a984ee6e57dc, 0x5d06e141a98f0710},
                        {1000, 0x023fd2ed1ff957d5, 0xeb8022cdca5375d9}}) {
    CAPTURE(c.size);
    CHECK(xxh64(bytes(text).first(c.size)) == c.hash);
    CHECK(xxh64(bytes(text).first(c.size), seed) == c.seeded);
  }
  CHECK(xxh64(bytes("abc")) == 0x44bc2cf5ad770999);
}

TEST_CASE("xxh64: any bit counts, wherever the bytes lie in memory") {
  std::string text(80, 'x');
  std::set<std::uint64_t> hashes{xxh64(bytes(text))};
  for (std::size_t bit = 0; bit < 8 * text.size(); ++bit) {
    const char mask = static_cast<char>(1 << bit % 8);
    text[bit / 8] ^= mask;
    hashes.insert(xxh64(bytes(text)));
    text[bit / 8] ^= mask;
  }
  CHECK(hashes.size() == 641);
  const std::string moved = 'y' + text;
  CHECK(xxh64(bytes(moved).subspan(1)) == xxh64(bytes(text)));
}
