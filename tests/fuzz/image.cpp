// Image files: PNG and JPEG.
#include <cstdint>

#include "core/tensor.h"
#include "data/image_file.h"
#include "tests/fuzz/fuzz.h"
#include "tests/jpeg.h"

namespace mixgrad::fuzz {
namespace {

std::uint32_t crc32(const std::string& bytes) {
  std::uint32_t crc = ~0u;
  for (const char byte : bytes) {
    crc ^= static_cast<std::uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

// The file with a true checksum behind each chunk of a PNG: a change would hardly ever get past the old one.
std::string with_checksums(std::string png) {
  const auto byte = [&](std::size_t i) { return std::size_t{static_cast<std::uint8_t>(png[i])}; };
  for (std::size_t at = 8; at + 12 <= png.size();) {
    const std::size_t length = byte(at) << 24 | byte(at + 1) << 16 | byte(at + 2) << 8 | byte(at + 3);
    if (length > png.size() - at - 12) break;
    const std::uint32_t crc = crc32(png.substr(at + 4, length + 4));
    for (std::size_t i = 0; i < 4; ++i) png[at + 8 + length + i] = static_cast<char>(crc >> (24 - 8 * i) & 0xff);
    at += length + 12;
  }
  return png;
}

}  // namespace

std::vector<std::string> seeds() {
  std::vector<std::string> seeds = {test::colour_jpeg(), test::grey_jpeg(), test::cmyk_jpeg()};
  const std::string path = file_with("");
  for (const std::int64_t channels : {1, 3}) {
    data::write_png(path, Tensor::full({3, 5, channels}, 200, {.dtype = DType::u8}));
    seeds.push_back(bytes_of(path));
  }
  return seeds;
}

void read(const std::string& bytes) {
  const bool png = bytes.starts_with("\x89PNG");
  const std::string path = file_with(png ? with_checksums(bytes) : bytes);
  data::read_image(path, {.channels = bytes.size() % 2 ? 1 : 3, .max_pixels = 1 << 16});
}

}  // namespace mixgrad::fuzz
