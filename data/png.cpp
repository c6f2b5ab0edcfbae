// Reads and writes PNG with libpng.
#include <algorithm>
#include <array>
#include <cstdio>

#include "core/check.h"
#include "data/image_codecs.h"

#ifdef MIXGRAD_WITH_PNG
#include <png.h>

#include <csetjmp>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_PNG

namespace {

using Message = std::array<char, 160>;

// libpng reports an error by a longjmp, which runs no destructors. So it is called only inside run(), by functions that
// own nothing; the callers of run() own what they need.
class PngReader : NonCopyable {
 public:
  PngReader() {
    png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &message_, on_error, on_warning);
    if (png_ != nullptr) info_ = png_create_info_struct(png_);
    if (info_ == nullptr) {
      destroy();
      fail("libpng cannot be initialised: ", message_.data());
    }
  }
  ~PngReader() { destroy(); }

  // Calls f(png, info), and throws the reason when libpng reports an error.
  template <class F>
  void run(const F& f) {
    check(completes(f), "damaged or truncated PNG data: ", message_.data());
  }

  png_structp png() const { return png_; }
  png_infop info() const { return info_; }

 private:
  template <class F>
  bool completes(const F& f) {
    if (setjmp(png_jmpbuf(png_)) != 0) return false;
    f(png_, info_);
    return true;
  }

  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    Message& message = *static_cast<Message*>(png_get_error_ptr(png));
    std::snprintf(message.data(), message.size(), "%s", text);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}

  void destroy() { png_destroy_read_struct(&png_, &info_, nullptr); }

  Message message_{};
  png_structp png_ = nullptr;
  png_infop info_ = nullptr;
};

std::int64_t size_of_file(std::FILE* file) {
  const long position = std::ftell(file);
  std::fseek(file, 0, SEEK_END);
  const long size = std::ftell(file);
  std::fseek(file, position, SEEK_SET);
  return size;
}

}  // namespace

Tensor read_png(std::FILE* file, const ImageFileOptions& options) {
  PngReader reader;
  reader.run([=](png_structp png, png_infop info) {
    png_init_io(png, file);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_pixels has its own limit
    png_read_info(png, info);
  });
  const std::int64_t height = png_get_image_height(reader.png(), reader.info());
  const std::int64_t width = png_get_image_width(reader.png(), reader.info());
  check_pixels(height, width, options);
  // Deflate reaches 1032 : 1 at most.
  const auto row_bytes = static_cast<std::int64_t>(png_get_rowbytes(reader.png(), reader.info()));
  check(row_bytes <= 1032 * size_of_file(file) / height, "truncated: the header announces ", width, " x ", height,
        " pixels, more than the file can hold");
  // Every format becomes 8-bit grey or RGB. libpng must not convert colour to grey: its result would depend on gamma
  // and colour profiles.
  const bool colour = (png_get_color_type(reader.png(), reader.info()) & PNG_COLOR_MASK_COLOR) != 0;
  const std::int64_t channels = colour ? 3 : 1;
  const Tensor image = Tensor::empty({height, width, channels}, {.dtype = DType::u8});
  auto* const pixels = image.mutable_data<std::uint8_t>();
  reader.run([=](png_structp png, png_infop info) {
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_strip_alpha(png);
    const int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    for (int pass = 0; pass < passes; ++pass)
      for (std::int64_t y = 0; y < height; ++y) png_read_row(png, pixels + y * width * channels, nullptr);
    png_read_end(png, nullptr);
  });
  return image;
}

std::vector<std::byte> encode_png(const Tensor& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.height = static_cast<png_uint_32>(image.size(0));
  png.width = static_cast<png_uint_32>(image.size(1));
  png.format = image.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::vector<std::byte> bytes(PNG_IMAGE_PNG_SIZE_MAX(png));
  png_alloc_size_t size = bytes.size();
  const bool written =
      png_image_write_to_memory(&png, bytes.data(), &size, 0, image.data<std::uint8_t>(), 0, nullptr) != 0;
  check(written, "cannot be written: ", png.message);
  bytes.resize(size);
  return bytes;
}

#else

Tensor read_png(std::FILE*, const ImageFileOptions&) {
  fail("this build cannot read PNG (built without libpng; package libpng-dev)");
}

std::vector<std::byte> encode_png(const Tensor&) {
  fail("this build cannot write PNG (built without libpng; package libpng-dev)");
}

#endif

}  // namespace mixgrad::data
