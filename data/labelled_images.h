// Labelled images: what a source of images delivers, before it is a dataset.
#pragma once

#include <cstdint>
#include <span>

#include "core/tensor.h"

namespace mixgrad::data {

// Which of two disjoint sets of images: for training, or for validation.
enum class Split : std::uint8_t { train, valid };

// N images of H by W pixels, grey (C = 1) or in colour, and the class of each, on one device.
struct LabelledImages {
  Tensor images;              // u8 [N, H, W, C]; of handwriting, ink is 255 and paper 0
  Tensor labels;              // i32 [N], 0..classes-1
  std::int64_t channels = 3;  // of a batch that is made of them: C, or as many as grey images are copied to
};

// Those labelled with one of `labels`, in order; labels[k] becomes class k.
LabelledImages select(const LabelledImages& all, std::span<const std::int32_t> labels);

}  // namespace mixgrad::data
