// A picture of a mixed batch, each image with a caption such as "0.700 three + 0.300 seven".
#pragma once

#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::apps {

// Writes the first 12 mixtures to a PNG file with gnuplot, below the title, if any. mixed [N, H, W, C] in [0, 1],
// three channels that differ in colour, otherwise channel 0; labels by class index; class_names by class index. Returns
// false, having written nothing, if gnuplot is not installed.
bool write_mix_picture(const std::string& png, const Tensor& mixed, const augment::MixedTarget& labels,
                       const std::vector<std::string>& class_names, const std::string& title = "");

}  // namespace mixgrad::apps
