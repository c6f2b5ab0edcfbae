// What image_file.cpp needs from libpng and libjpeg (private).
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/image_file.h"

namespace mixgrad::data {

// The image in a file that begins with the signature of its format and is read from its start, u8 [H, W, C] as the file
// has it: C is 1 for grey, 3 for colours, whatever options.channels is. Errors do not name the file.
Tensor read_png(std::FILE* file, const ImageFileOptions& options);
Tensor read_jpeg(std::FILE* file, const ImageFileOptions& options);

// The image u8 [H, W, 1 or 3], not empty, as the bytes of a PNG file; errors name that file.
std::vector<std::byte> encode_png(const std::string& path, const Tensor& image);

// Throws when an image of this size has more than options.max_pixels.
void check_pixels(std::int64_t height, std::int64_t width, const ImageFileOptions& options);

// Calls f, which a longjmp to `jump` may end. Returns whether f came to its own end.
template <class F>
bool completes(std::jmp_buf& jump, const F& f) {
  if (setjmp(jump) != 0) return false;
  f();
  return true;
}

}  // namespace mixgrad::data
