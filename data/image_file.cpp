#include "data/image_file.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <vector>

#include "core/files.h"
#include "data/image_codecs.h"

namespace mixgrad::data {
namespace {

Tensor read_any(std::FILE* file, const ImageFileOptions& options) {
  std::array<char, 8> start{};
  const std::string_view signature(start.data(), std::fread(start.data(), 1, start.size(), file));
  std::rewind(file);
  if (signature == "\x89PNG\r\n\x1a\n") return read_png(file, options);
  if (signature.starts_with("\xff\xd8\xff")) return read_jpeg(file, options);
  fail("is neither a PNG nor a JPEG image");
}

// The image [H, W, 1 or 3] converted to `channels` channels, 1 or 3.
Tensor with_channels(const Tensor& image, std::int64_t channels) {
  if (image.size(2) == channels) return image;
  const Tensor result = Tensor::empty({image.size(0), image.size(1), channels}, {.dtype = DType::u8});
  const auto* from = image.data<std::uint8_t>();
  auto* to = result.mutable_data<std::uint8_t>();
  for (const auto* const end = from + image.numel(); from != end; from += image.size(2), to += channels)
    if (channels == 3) std::fill_n(to, 3, *from);
    else *to = static_cast<std::uint8_t>((19595u * from[0] + 38470u * from[1] + 7471u * from[2] + 32768u) >> 16);
  return result;
}

}  // namespace

Tensor read_image(const std::string& path, const ImageFileOptions& options) {
  check(options.channels == 1 || options.channels == 3, "read_image: images have 1 or 3 channels, not ",
        options.channels);
  const File file = open_regular_file(path);
  try {
    return with_channels(read_any(file.get(), options), options.channels);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
}

void check_pixels(std::int64_t height, std::int64_t width, const ImageFileOptions& options) {
  check(height <= options.max_pixels / width, "an image of ", width, " x ", height, " pixels exceeds the ",
        options.max_pixels, " allowed (max_pixels)");
}

void write_png(const std::string& path, const Tensor& image) {
  check(image.dtype() == DType::u8 && image.rank() == 3 && (image.size(2) == 1 || image.size(2) == 3) &&
            image.numel() > 0,
        path, ": an image must be u8 [H, W, 1 or 3], got ", name_of(image.dtype()), image.shape());
  const std::vector<std::byte> bytes = encode_png(path, image);
  write_file_atomically(path, {bytes}, {.sync = false});
}

}  // namespace mixgrad::data
