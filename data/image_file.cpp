#include "data/image_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "core/check.h"
#include "data/image_codecs.h"

namespace mixgrad::data {
namespace {

namespace fs = std::filesystem;

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open(const std::string& path, const char* mode) {
  std::error_code ignored;
  const fs::file_status status = fs::status(path, ignored);
  check(!fs::is_directory(status), path, ": is a directory, not a file");
  check(!fs::exists(status) || fs::is_regular_file(status), path, ": is not a regular file");  // a pipe would block
  File file(std::fopen(path.c_str(), mode), &std::fclose);
  check(file != nullptr, path, ": cannot be opened: ", std::strerror(errno));
  return file;
}

bool begins_with(std::FILE* file, std::initializer_list<std::uint8_t> signature) {
  std::array<std::uint8_t, 8> start{};
  const std::size_t got = std::fread(start.data(), 1, start.size(), file);
  std::rewind(file);
  return got >= signature.size() && std::equal(signature.begin(), signature.end(), start.begin());
}

}  // namespace

Tensor read_image(const std::string& path, const ImageFileOptions& options) {
  check(options.channels == 1 || options.channels == 3, "read_image: images have 1 or 3 channels, not ",
        options.channels);
  const File file = open(path, "rb");
  try {
    if (begins_with(file.get(), {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'})) return read_png(file.get(), options);
    if (begins_with(file.get(), {0xff, 0xd8, 0xff})) return read_jpeg(file.get(), options);
  } catch (const Error& error) {
    fail(path, ": ", error.what());
  }
  fail(path, ": is neither a PNG nor a JPEG image");
}

void check_pixels(std::int64_t height, std::int64_t width, const ImageFileOptions& options) {
  check(height <= options.max_pixels / width, "an image of ", width, " x ", height, " pixels, more than the ",
        options.max_pixels, " that are allowed (max_pixels)");
}

void write_png(const std::string& path, const Tensor& image) {
  check(image.dtype() == DType::u8 && image.rank() == 3 && (image.size(2) == 1 || image.size(2) == 3) &&
            image.numel() > 0,
        path, ": an image must be u8 [H, W, 1 or 3], got ", name_of(image.dtype()), image.shape());
  const std::string part = path + ".part";
  try {
    File file = open(part, "wb");
    write_png(file.get(), image);
    check(std::fclose(file.release()) == 0, "cannot be written: ", std::strerror(errno));
    check(std::rename(part.c_str(), path.c_str()) == 0, "cannot be written: ", std::strerror(errno));
  } catch (const Error& error) {
    std::error_code ignored;
    fs::remove(part, ignored);
    const std::string text = error.what();
    fail(text.starts_with(part) ? text : path + ": " + text);
  }
}

}  // namespace mixgrad::data
