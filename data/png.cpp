// Reads and writes PNG with libpng.
#include <sys/stat.h>

#include <array>
#include <cstdio>

#include "core/check.h"
#include "data/image_codecs.h"

#ifdef MIXGRAD_WITH_PNG
#include <png.h>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_PNG

namespace {

// What libpng needs to read an image. It reports an error by a longjmp, which runs no destructors: it is called only
// inside run(), by functions that own nothing.
class PngReader : NonCopyable {
 public:
  PngReader() { check(info_ != nullptr, "libpng cannot be initialised: ", message_.data()); }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }

  // Calls f(png, info), and throws the reason when libpng reports an error.
  template <class F>
  void run(const F& f) {
    check(completes(png_jmpbuf(png_), [&] { f(png_, info_); }), "damaged or truncated PNG data: ", message_.data());
  }

 private:
  using Message = std::array<char, 160>;

  [[noreturn]] static void on_error(png_structp png, png_const_charp text) {
    Message& message = *static_cast<Message*>(png_get_error_ptr(png));
    std::snprintf(message.data(), message.size(), "%s", text);
    png_longjmp(png, 1);
  }
  static void on_warning(png_structp, png_const_charp) {}

  Message message_{};
  png_structp png_ = png_create_read_struct(PNG_LIBPNG_VER_STRING, &message_, on_error, on_warning);
  png_infop info_ = png_create_info_struct(png_);
};

}  // namespace

Tensor read_png(std::FILE* file, const ImageFileOptions& options) {
  PngReader reader;
  std::int64_t height = 0, width = 0, row_bytes = 0, channels = 0;
  reader.run([&](png_structp png, png_infop info) {
    png_init_io(png, file);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // check_pixels has its own limit
    png_read_info(png, info);
    height = png_get_image_height(png, info), width = png_get_image_width(png, info);
    row_bytes = static_cast<std::int64_t>(png_get_rowbytes(png, info));
    channels = (png_get_color_type(png, info) & PNG_COLOR_MASK_COLOR) != 0 ? 3 : 1;
  });
  check_pixels(height, width, options);
  struct stat status {};
  check(fstat(fileno(file), &status) == 0 && row_bytes <= 1032 * status.st_size / height,  // deflate's largest ratio
        "truncated: the header announces ", width, " x ", height, " pixels, more than the file can hold");
  const Tensor image = Tensor::empty({height, width, channels}, {.dtype = DType::u8});
  auto* const pixels = image.mutable_data<std::uint8_t>();
  // Every format becomes 8-bit grey or RGB. libpng must not convert colour to grey: its result would depend on gamma
  // and colour profiles.
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

std::vector<std::byte> encode_png(const std::string& path, const Tensor& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.height = static_cast<png_uint_32>(image.size(0));
  png.width = static_cast<png_uint_32>(image.size(1));
  png.format = image.size(2) == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  std::vector<std::byte> bytes(PNG_IMAGE_PNG_SIZE_MAX(png));
  png_alloc_size_t size = bytes.size();
  const bool written =
      png_image_write_to_memory(&png, bytes.data(), &size, 0, image.data<std::uint8_t>(), 0, nullptr) != 0;
  check(written, path, ": cannot be written: ", png.message);
  bytes.resize(size);
  return bytes;
}

#else

Tensor read_png(std::FILE*, const ImageFileOptions&) {
  fail("this build cannot read PNG (built without libpng; package libpng-dev)");
}

std::vector<std::byte> encode_png(const std::string& path, const Tensor&) {
  fail(path, ": this build cannot write PNG (built without libpng; package libpng-dev)");
}

#endif

}  // namespace mixgrad::data
