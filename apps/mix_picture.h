// A picture of a mixed batch, each image with a caption such as "0.70 three + 0.30 seven".
#pragma once

#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::apps {

// Writes the first 12 images of a batch, mixed by `plan`, to a PNG file by way of gnuplot. x f32 [N, H, W, C] in [0,
// 1], of which channel 0 is shown; class_names by class index. Returns false, having written nothing, where there is no
// gnuplot.
bool write_mix_picture(const std::string& png, const data::Batch& batch, const augment::MixPlan& plan,
                       const std::vector<std::string>& class_names);

}  // namespace mixgrad::apps
