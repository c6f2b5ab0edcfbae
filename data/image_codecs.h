// What image_file.cpp needs from the two libraries (private). Errors do not name the file; its name is added there.
#pragma once

#include <cstddef>
#include <cstdio>
#include <vector>

#include "core/tensor.h"
#include "data/image_file.h"

namespace mixgrad::data {

// The image in a file that begins with the signature of its format and is read from its start, u8 [H, W, C] as the file
// has it: C is 1 for grey, 3 for colours, whatever options.channels is.
Tensor read_png(std::FILE* file, const ImageFileOptions& options);
Tensor read_jpeg(std::FILE* file, const ImageFileOptions& options);

// The image u8 [H, W, 1 or 3], not empty, as the bytes of a PNG file.
std::vector<std::byte> encode_png(const Tensor& image);

// Throws when an image of this size has more than options.max_pixels.
void check_pixels(std::int64_t height, std::int64_t width, const ImageFileOptions& options);

}  // namespace mixgrad::data
