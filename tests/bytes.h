// What a test's own files are made of: numbers, checksums, noise.
#pragma once

#include <cstdint>
#include <string>

#include "core/random.h"
#include "data/untar_data.h"
#include "tests/temporary_folder.h"

namespace mixgrad::test {

inline std::string big_endian(std::uint32_t value) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(value >> shift & 0xff);
  return bytes;
}

// The CRC-32 of gzip (RFC 1952) and PNG (RFC 2083).
inline std::uint32_t crc32(const std::string& bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

inline std::string sha256(const std::string& bytes) {
  const TemporaryFolder folder;
  return data::sha256_of_file(folder.write("bytes", bytes));
}

// Bytes that no compression shrinks.
inline std::string noise(std::size_t count, std::uint64_t seed = 1) {
  Random random(seed);
  std::string bytes(count, ' ');
  for (char& byte : bytes) byte = static_cast<char>(random.below(256));
  return bytes;
}

}  // namespace mixgrad::test
