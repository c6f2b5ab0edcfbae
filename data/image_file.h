// Image files: PNG and JPEG, recognised by content, not by name.
#pragma once

#include <cstdint>
#include <string>

#include "core/tensor.h"

namespace mixgrad::data {

struct ImageFileOptions {
  std::int64_t channels = 3;                        // 3: red, green, blue; 1: grey
  std::int64_t max_pixels = std::int64_t{1} << 26;  // larger images are refused before memory is allocated
};

// The pixels of a PNG or JPEG file, u8 [H, W, channels].
//
// Grey is copied to three channels; colour is converted to grey as Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601),
// rounded, in PIL's arithmetic: the same bits as its convert("L"). Palettes are expanded, and 1, 2 and 4 bits widened
// to 8; 16 bits are rounded to 8. Transparency is dropped, as PIL's convert("RGB") does: a pixel keeps its stored
// colour, however transparent. A CMYK or YCCK JPEG is assumed to be inverted, as by Adobe's programs and PIL: R = C K /
// 255, and so on. Gamma, colour profiles, background and the orientation in EXIF data are ignored.
//
// Throws one line that names the file when it is missing, neither PNG nor JPEG, damaged or truncated (checksums are
// verified; JPEG has none), larger than max_pixels, of a format that this build cannot read (built without libpng or
// libjpeg), or a JPEG of a kind that libjpeg cannot read (lossless, 12 bits, other colours). A PNG whose header
// announces more than the file can hold is refused before memory is allocated.
Tensor read_image(const std::string& path, const ImageFileOptions& options = {});

// Writes u8 [H, W, 1 or 3] as a PNG file in grey or colour, whole or not at all (core/files.h). Throws an error
// that names the file on another shape, an empty image, a file that cannot be written or a build without libpng.
void write_png(const std::string& path, const Tensor& image);

}  // namespace mixgrad::data
