// SHA-256 (NIST, FIPS 180-4): verifies a download.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>

namespace mixgrad::data {

class Sha256 {
 public:
  void update(std::span<const std::uint8_t> bytes);
  // The hash of all bytes so far, as 64 lower-case hexadecimal digits. Call it once, at the end.
  std::string finish();

 private:
  void process_block();

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> block_{};
  std::uint64_t size_ = 0;  // bytes so far
};

// The hash of a whole file. Throws an error that names the file when it can't be read.
std::string sha256_of_file(const std::string& path);

}  // namespace mixgrad::data
