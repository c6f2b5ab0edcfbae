// Handwritten digits drawn by the program, for use without a data set. They are close enough to MNIST that a model
// trained on them alone reads most of the real digits.
#pragma once

#include <cstdint>

#include "data/labelled_images.h"

namespace mixgrad::data {

// Draws `count` digits: images u8 [count, 28, 28, 1], ink 255 on 0, and labels i32 [count] in 0..9.
//
// A digit is written with one of several stroke glyphs: control points p are displaced by a smooth random field e and
// by noise, p' = R S (p + e(p) + noise) with R a rotation and S a shear and a change of aspect, and joined by
// Catmull-Rom splines. The curve is scaled so that its ink fills a box of 20 by 20 pixels along the longer side, with
// the centre of mass in the middle of the image (the normalisation of LeCun et al., "Gradient-based learning applied
// to document recognition", 1998). A pixel at distance d from the curve gets 255 clamp((r + w/2 - d + rough) / w, 0, 1)
// for a random pen radius r and edge width w.
//
// Image n and its label depend on (seed, split, n) alone, and not on count, the number of threads or the platform.
// Every ten images from a multiple of ten on contain each digit once. Throws unless 1 <= count <= 2^31 - 1.
LabelledImages synthetic_digits(std::int64_t count, std::uint64_t seed, Split split);

}  // namespace mixgrad::data
