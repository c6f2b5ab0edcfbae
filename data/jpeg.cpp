// Reads JPEG with libjpeg-turbo.
#include <array>
#include <cstdio>

#include "core/check.h"
#include "data/image_codecs.h"

#ifdef MIXGRAD_WITH_JPEG
#include <jpeglib.h>
// After jpeglib.h, which it needs.
#include <jerror.h>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_JPEG

namespace {

constexpr int max_scans = 200;  // a small progressive file could hold thousands, each over the whole image

// What libjpeg needs to read an image. It reports an error by a longjmp, which runs no destructors: it is called only
// inside run(), by functions that own nothing.
class JpegReader : NonCopyable {
 public:
  JpegReader() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.base.emit_message = on_message;
    run([](jpeg_decompress_struct& info) { jpeg_create_decompress(&info); });
    progress_.progress_monitor = on_progress;
    info_.progress = &progress_;
  }
  ~JpegReader() { jpeg_destroy_decompress(&info_); }

  // Calls f(info), and throws the reason when libjpeg reports an error.
  template <class F>
  void run(const F& f) {
    if (completes(errors_.jump, [&] { f(info_); })) return;
    const int code = errors_.base.msg_code;
    const bool unsupported = code == JERR_SOF_UNSUPPORTED || code == JERR_BAD_PRECISION || code == JERR_ARITH_NOTIMPL ||
                             code == JERR_CONVERSION_NOTIMPL || code == JERR_NOTIMPL || code == JERR_NOT_COMPILED;
    fail(unsupported ? "this kind of JPEG is not supported: " : "damaged or truncated JPEG data: ",
         errors_.message.data());
  }

 private:
  struct Errors {
    jpeg_error_mgr base;  // first: libjpeg hands out a pointer to it
    std::jmp_buf jump;
    std::array<char, JMSG_LENGTH_MAX> message;
  };

  [[noreturn]] static void on_error(j_common_ptr info) {
    auto* errors = reinterpret_cast<Errors*>(info->err);
    info->err->format_message(info, errors->message.data());
    std::longjmp(errors->jump, 1);
  }

  // A negative level is a warning: one that means that pixels were invented is an error here.
  static void on_message(j_common_ptr info, int level) {
    const int code = info->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM)
      on_error(info);
  }

  static void on_progress(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= max_scans) return;
    auto* errors = reinterpret_cast<Errors*>(info->err);
    errors->base.msg_code = 0;
    std::snprintf(errors->message.data(), errors->message.size(), "more than %d scans", max_scans);
    std::longjmp(errors->jump, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_progress_mgr progress_{};
  Errors errors_{};
};

// RGB [H, W, 3] from CMYK inks [H, W, 4], which are stored inverted: 255 means none.
Tensor colours_of_inks(const Tensor& inks) {
  const Tensor colours = Tensor::empty({inks.size(0), inks.size(1), 3}, {.dtype = DType::u8});
  const auto* from = inks.data<std::uint8_t>();
  auto* to = colours.mutable_data<std::uint8_t>();
  for (const auto* const end = from + inks.numel(); from != end; from += 4)
    for (int i = 0; i < 3; ++i) *to++ = static_cast<std::uint8_t>((from[i] * from[3] + 127) / 255);
  return colours;
}

}  // namespace

Tensor read_jpeg(std::FILE* file, const ImageFileOptions& options) {
  JpegReader reader;
  std::int64_t height = 0, width = 0;
  int components = 0;
  J_COLOR_SPACE file_space = JCS_UNKNOWN;
  reader.run([&](jpeg_decompress_struct& info) {
    jpeg_stdio_src(&info, file);
    jpeg_read_header(&info, TRUE);
    height = info.image_height, width = info.image_width;
    components = info.num_components, file_space = info.jpeg_color_space;
  });
  check_pixels(height, width, options);
  check(file_space != JCS_UNKNOWN, "a JPEG of ", components, " components; grey has 1, colour 3 or 4");
  const bool grey = file_space == JCS_GRAYSCALE, inks = file_space == JCS_CMYK || file_space == JCS_YCCK;
  const std::int64_t channels = grey ? 1 : inks ? 4 : 3;
  const Tensor image = Tensor::empty({height, width, channels}, {.dtype = DType::u8});
  auto* const pixels = image.mutable_data<std::uint8_t>();
  reader.run([=](jpeg_decompress_struct& info) {
    info.out_color_space = grey ? JCS_GRAYSCALE : inks ? JCS_CMYK : JCS_RGB;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = pixels + info.output_scanline * width * channels;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
  });
  return inks ? colours_of_inks(image) : image;
}

#else

Tensor read_jpeg(std::FILE*, const ImageFileOptions&) {
  fail("this build cannot read JPEG (built without libjpeg; package libjpeg-dev)");
}

#endif

}  // namespace mixgrad::data
