// Reads JPEG with libjpeg-turbo.
#include <array>
#include <cstdio>

#include "core/check.h"
#include "data/image_codecs.h"

#ifdef MIXGRAD_WITH_JPEG
#include <jpeglib.h>
// After jpeglib.h, which it needs.
#include <jerror.h>

#include <csetjmp>
#endif

namespace mixgrad::data {

#ifdef MIXGRAD_WITH_JPEG

namespace {

constexpr int max_scans = 200;  // a small progressive file could otherwise hold thousands, each over the whole image

// libjpeg leaves error handling to its caller, who must not return: here by a long jump, which runs no destructors. So
// the library is called only inside run(), by functions that own nothing.
class Jpeg : NonCopyable {
 public:
  Jpeg() {
    info_.err = jpeg_std_error(&errors_.base);
    errors_.base.error_exit = on_error;
    errors_.base.emit_message = on_message;
    run([](jpeg_decompress_struct& info) { jpeg_create_decompress(&info); });
    progress_.progress_monitor = on_progress;
    info_.progress = &progress_;
  }
  ~Jpeg() { jpeg_destroy_decompress(&info_); }

  // Calls f(info) and throws the reason when libjpeg reports an error.
  template <class F>
  void run(const F& f) {
    check(completes(f), "damaged or cut off JPEG data: ", errors_.message.data());
  }

  const jpeg_decompress_struct& info() const { return info_; }

 private:
  struct Errors {
    jpeg_error_mgr base;  // first: libjpeg hands out a pointer to it
    std::jmp_buf jump;
    std::array<char, JMSG_LENGTH_MAX> message;
  };

  template <class F>
  bool completes(const F& f) {
    if (setjmp(errors_.jump) != 0) return false;
    f(info_);
    return true;
  }

  [[noreturn]] static void on_error(j_common_ptr info) {
    auto* errors = reinterpret_cast<Errors*>(info->err);
    info->err->format_message(info, errors->message.data());
    std::longjmp(errors->jump, 1);
  }

  // A negative level is a warning: where it means that pixels were made up, it is an error here.
  static void on_message(j_common_ptr info, int level) {
    const int code = info->err->msg_code;
    if (level < 0 && code != JWRN_EXTRANEOUS_DATA && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM)
      on_error(info);
  }

  static void on_progress(j_common_ptr info) {
    if (reinterpret_cast<j_decompress_ptr>(info)->input_scan_number <= max_scans) return;
    auto* errors = reinterpret_cast<Errors*>(info->err);
    std::snprintf(errors->message.data(), errors->message.size(), "more than %d scans", max_scans);
    std::longjmp(errors->jump, 1);
  }

  jpeg_decompress_struct info_{};
  jpeg_progress_mgr progress_{};
  Errors errors_{};
};

}  // namespace

Tensor read_jpeg(std::FILE* file, const ImageFileOptions& options) {
  Jpeg reader;
  reader.run([=](jpeg_decompress_struct& info) {
    jpeg_stdio_src(&info, file);
    jpeg_read_header(&info, TRUE);
  });
  const std::int64_t height = reader.info().image_height, width = reader.info().image_width;
  check_pixels(height, width, options);
  const Tensor image = Tensor::empty({height, width, options.channels}, {.dtype = DType::u8});
  auto* const pixels = image.mutable_data<std::uint8_t>();
  reader.run([=](jpeg_decompress_struct& info) {
    info.out_color_space = options.channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = pixels + info.output_scanline * width * options.channels;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
  });
  return image;
}

#else

Tensor read_jpeg(std::FILE*, const ImageFileOptions&) {
  fail("this build cannot read JPEG (built without libjpeg; package libjpeg-dev)");
}

#endif

}  // namespace mixgrad::data
