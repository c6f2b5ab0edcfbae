// What every source of images delivers.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace mixgrad::data {

// Which of two disjoint sets of images: to train on, or to judge by.
enum class Split : std::uint8_t { train, valid };

// N grey images of H by W pixels and the class of each: element n of one belongs to element n of the other.
struct LabelledImages {
  Tensor images;  // u8 [N, H, W, 1], ink 255 on 0
  Tensor labels;  // i32 [N], 0..classes-1
};

}  // namespace mixgrad::data
