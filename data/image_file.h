// Image files: PNG and JPEG, told apart by what they hold and not by their names.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace mixgrad::data {

struct ImageFileOptions {
  std::int64_t channels = 3;                        // 3: red, green, blue; 1: grey
  std::int64_t max_pixels = std::int64_t{1} << 26;  // larger images are refused before memory is asked for
};

// The pixels of a PNG or JPEG file, u8 [H, W, channels].
//
// Grey is copied to three channels; colour becomes grey as Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), rounded, in
// PIL's arithmetic: the same bits as its convert("L"). Palettes and 1, 2 and 4 bits are widened to 8 bits, 16 bits
// rounded to 8. Transparency is dropped, as PIL's convert("RGB") does: a pixel has the colour that the file gives it,
// however transparent. A JPEG of four inks (CMYK, YCCK) is taken to hold them inverted, as Adobe's programs and PIL do:
// R = C K / 255, and so on. Gamma, colour profiles, background and the orientation in EXIF data are ignored.
//
// Throws one line that names the file when it is missing, neither PNG nor JPEG, damaged or cut off anywhere (checksums
// are verified; JPEG has none), larger than max_pixels, of a kind that this build cannot read (it was built without
// libpng or libjpeg), or a JPEG of a kind that libjpeg cannot read (lossless, 12 bits, other colours). A PNG whose
// header announces more than the file can hold is refused before memory is asked for.
Tensor read_image(const std::string& path, const ImageFileOptions& options = {});

// Writes u8 [H, W, 1 or 3] as a PNG file in grey or colour, whole or not at all (core/atomic_file.h). Throws an error
// that names the file on another shape, an empty image, a file that cannot be written or a build without libpng.
void write_png(const std::string& path, const Tensor& image);

}  // namespace mixgrad::data
