#include "data/transform.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/check.h"
#include "core/parallel.h"

namespace mixgrad::data {
namespace {

constexpr std::int64_t most_pixels = std::int64_t{1} << 20;  // of padding or size

struct Extents {
  std::int64_t height, width, channels;
  std::int64_t row() const { return width * channels; }
};

// draw(extents) for each image, in order; then apply(extents, drawn[n], x[n], y[n]) for each, in parallel.
template <class Draw, class Apply>
Tensor transform_images(const char* op, const Tensor& x, const Draw& draw, const Apply& apply) {
  check(x.rank() == 4 && x.dtype() == DType::f32, op, ": images must be f32 [N, H, W, C], got ", name_of(x.dtype()),
        x.shape());
  const Extents extents{x.size(1), x.size(2), x.size(3)};
  check(std::max(extents.height, extents.width) <= std::numeric_limits<std::int32_t>::max(), op, ": images ", x.shape(),
        " are more than 2^31 - 1 pixels high or wide");
  const Tensor y = Tensor::empty(x.shape(), x.options());
  if (x.numel() == 0) return y;
  std::vector<decltype(draw(extents))> drawn;
  for (std::int64_t n = 0; n < x.size(0); ++n) drawn.push_back(draw(extents));
  dispatch_cpu(op, x.device(), [&](Cpu) {
    const float* from = x.data<float>();
    float* to = y.mutable_data<float>();
    const std::int64_t image = extents.height * extents.row();
    parallel_for(x.size(0), rows_per_range(image, std::int64_t{1} << 14), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n)
        apply(extents, drawn[static_cast<std::size_t>(n)], from + n * image, to + n * image);
    });
  });
  return y;
}

struct Point {
  std::int64_t y, x;
};

std::int64_t below(Random& random, std::int64_t bound) { return random.below(static_cast<std::uint32_t>(bound)); }

// to[i, j] = from[i + by.y, j + by.x], zero outside.
void shift(const Extents& e, Point by, const float* from, float* to) {
  std::fill_n(to, e.height * e.row(), 0.0f);
  const std::int64_t left = std::max<std::int64_t>(-by.x, 0), right = std::min(e.width - by.x, e.width);
  const std::int64_t top = std::max<std::int64_t>(-by.y, 0), bottom = std::min(e.height - by.y, e.height);
  if (left >= right) return;
  for (std::int64_t i = top; i < bottom; ++i)
    std::copy_n(from + (i + by.y) * e.row() + (left + by.x) * e.channels, (right - left) * e.channels,
                to + i * e.row() + left * e.channels);
}

void mirror(const Extents& e, const float* from, float* to) {
  for (std::int64_t i = 0; i < e.height; ++i)
    for (std::int64_t j = 0; j < e.width; ++j)
      std::copy_n(from + i * e.row() + (e.width - 1 - j) * e.channels, e.channels, to + i * e.row() + j * e.channels);
}

// Fills the square of this size that begins at `corner`, clipped to the image.
void blank(const Extents& e, Point corner, std::int64_t size, float fill, float* image) {
  const std::int64_t left = std::max<std::int64_t>(corner.x, 0), right = std::min(corner.x + size, e.width);
  const std::int64_t top = std::max<std::int64_t>(corner.y, 0), bottom = std::min(corner.y + size, e.height);
  for (std::int64_t i = top; i < bottom; ++i)
    std::fill_n(image + i * e.row() + left * e.channels, (right - left) * e.channels, fill);
}

}  // namespace

Transform random_crop(const RandomCropOptions& options) {
  const std::int64_t padding = options.padding;
  check(padding >= 0 && padding <= most_pixels, "random_crop: padding ", padding, " is not in 0..", most_pixels);
  return [padding](const Tensor& x, Random& random) {
    const auto draw = [&](const Extents&) {
      const std::int64_t dy = below(random, 2 * padding + 1);
      return Point{dy - padding, below(random, 2 * padding + 1) - padding};
    };
    return transform_images("random_crop", x, draw, shift);
  };
}

Transform horizontal_flip(const HorizontalFlipOptions& options) {
  const double probability = options.probability;
  check(probability >= 0 && probability <= 1, "horizontal_flip: probability ", probability, " is not in 0..1");
  return [probability](const Tensor& x, Random& random) {
    const auto draw = [&](const Extents&) { return random.uniform() < probability; };
    return transform_images("horizontal_flip", x, draw, [](const Extents& e, bool flip, const float* from, float* to) {
      if (flip) mirror(e, from, to);
      else std::copy_n(from, e.height * e.row(), to);
    });
  };
}

Transform cutout(const CutoutOptions& options) {
  check(options.size >= 1 && options.size <= most_pixels, "cutout: size ", options.size, " is not in 1..", most_pixels);
  return [options](const Tensor& x, Random& random) {
    const auto draw = [&](const Extents& e) {
      const std::int64_t cy = below(random, e.height);
      return Point{cy - options.size / 2, below(random, e.width) - options.size / 2};
    };
    return transform_images("cutout", x, draw, [&](const Extents& e, Point corner, const float* from, float* to) {
      std::copy_n(from, e.height * e.row(), to);
      blank(e, corner, options.size, options.fill, to);
    });
  };
}

}  // namespace mixgrad::data
