// A contact sheet: images in a grid, each below its caption.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::apps {

// Writes the images to a PNG file with gnuplot, row by row, below the title, if any. images [N, H, W, C] in [0, 1];
// three channels that differ in colour, otherwise channel 0, 1 as black. Throws unless there are 1 to 100 images of 2
// to 1024 pixels a side and 16 megapixels in all, as many captions, and at least one column. Returns false, having
// written nothing, if gnuplot is not installed.
bool write_image_grid(const std::string& png, const Tensor& images, const std::vector<std::string>& captions,
                      int columns, const std::string& title = "");

}  // namespace mixgrad::apps
