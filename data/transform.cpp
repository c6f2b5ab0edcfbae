#include "data/transform.h"

#include <cmath>
#include <numeric>

#include "core/autograd.h"
#include "core/parallel.h"
#include "data/pixel_maps.h"

namespace mixgrad::data {
namespace {

constexpr std::int64_t most_pixels = std::int64_t{1} << 20;  // of padding or size
constexpr std::int64_t most_extent = std::int64_t{1} << 24;  // f32 holds every integer up to it
constexpr std::int64_t most_in_image = (std::int64_t{1} << 31) - 1;

void check_extents(const std::string& name, std::int64_t height, std::int64_t width) {
  check(std::max(height, width) <= most_extent && height * width <= most_in_image, name, ": images of ", height, " x ",
        width, " pixels: at most ", most_extent, " on a side and ", most_in_image, " in all");
}

void check_images(const std::string& name, const Tensor& x) {
  check(x.rank() == 4 && x.dtype() == DType::f32, name, ": images must be f32 [N, H, W, C], got ", name_of(x.dtype()),
        x.shape());
  check_extents(name, x.size(1), x.size(2));
}

// The transform that applies a map.
template <class Map, class Draw>
Transform planned(const Map& map, const std::string& options, const Draw& draw) {
  const auto apply = [map](const Tensor& x, const Tensor& table) {
    const Tensor y = Tensor::empty(x.shape(), x.options());
    if (x.numel() == 0) return y;
    dispatch(Map::name, x.device(), [&](auto device) { kernels::transform(device, map, x, table, y); });
    return y;
  };
  return TransformPlan{Map::name, options, Map::columns, draw, apply};
}

std::int64_t below(Random& random, std::int64_t bound) { return random.below(static_cast<std::uint32_t>(bound)); }

}  // namespace

Transform::Transform(TransformPlan plan) : plan_(std::make_shared<const TransformPlan>(std::move(plan))) {
  check(plan_->columns > 0 && plan_->draw && plan_->apply, plan_->name,
        ": a planned transform needs columns, draw and apply");
}

const TransformPlan& Transform::plan() const {
  check(is_planned(), "transform: a plain function has no table; call it with a batch and a Random instead");
  return *plan_;
}

std::string Transform::description() const {
  return is_planned() ? plan_->name + ": " + plan_->options : function_ ? "a function" : "empty";
}

std::vector<float> Transform::draw(const DrawContext& context, Random& random) const {
  const auto& [name, options, columns, draw_row, apply] = plan();
  check(context.height > 0 && context.width > 0, name, ": a table for images of ", context.height, " x ", context.width,
        " pixels");
  check_extents(name, context.height, context.width);
  const auto row = static_cast<std::size_t>(columns);
  std::vector<float> table(context.indices.size() * row);
  for (std::size_t n = 0; n < context.indices.size(); ++n)
    draw_row(context, n, random, std::span(table).subspan(n * row, row));
  return table;
}

Tensor Transform::apply(const Tensor& x, const Tensor& table) const {
  const std::string& name = plan().name;
  check_images(name, x);
  check(table.dtype() == DType::f32 && table.numel() == x.size(0) * plan_->columns, name, ": images ", x.shape(),
        " need a table f32 of ", plan_->columns, " values each, got ", name_of(table.dtype()), table.shape());
  check_same_device(name.c_str(), x.device(), table.device());
  return no_grad([&] { return plan_->apply(x, table); });
}

Tensor Transform::operator()(const Tensor& x, Random& random) const {
  check(static_cast<bool>(*this), "transform: is empty");
  if (!is_planned()) return function_(x, random);
  check_images(plan_->name, x);
  if (x.numel() == 0) return Tensor::empty(x.shape(), x.options());  // nothing to draw
  std::vector<std::int32_t> indices(static_cast<std::size_t>(x.size(0)));
  std::iota(indices.begin(), indices.end(), 0);
  const std::vector<float> table = draw({.indices = indices, .height = x.size(1), .width = x.size(2)}, random);
  return apply(x, Tensor::from(table, {std::ssize(table)}).to(x.device()));
}

Transform random_crop(const RandomCropOptions& options) {
  const std::int64_t padding = options.padding;
  const bool reflect = options.border == Border::reflect;
  check(padding >= 0 && padding <= most_pixels, "random_crop: padding ", padding, " is not in 0..", most_pixels);
  check(reflect || options.border == Border::zero, "random_crop: the border is neither zero nor reflect");
  return planned(pixel_maps::Crop{{}, reflect}, text_of("padding ", padding, ", border ", reflect ? "reflect" : "zero"),
                 [=](const DrawContext& context, std::size_t, Random& random, std::span<float> shift) {
                   check(!reflect || padding < std::min(context.height, context.width), "random_crop: padding ",
                         padding, " with a reflected border needs larger images than ", context.height, " x ",
                         context.width);
                   for (float& by : shift) by = static_cast<float>(below(random, 2 * padding + 1) - padding);
                 });
}

Transform horizontal_flip(const HorizontalFlipOptions& options) {
  const double probability = options.probability;
  check(probability >= 0 && probability <= 1, "horizontal_flip: probability ", probability, " is not in 0..1");
  return planned(pixel_maps::Flip{},
                 text_of("probability ", probability, ", alternating ", options.alternating ? "on" : "off"),
                 [=, alternating = options.alternating](const DrawContext& context, std::size_t n, Random& random,
                                                        std::span<float> flip) {
                   Random own(context.seed, Purpose::flip, 0, 0, static_cast<std::uint32_t>(context.indices[n]));
                   const bool first = (alternating ? own : random).uniform() < probability;
                   flip[0] = first != (alternating && context.pass % 2 == 1);
                 });
}

Transform cutout(const CutoutOptions& options) {
  const auto [size, fill] = options;
  check(size >= 1 && size <= most_pixels, "cutout: size ", size, " is not in 1..", most_pixels);
  check(std::isfinite(fill), "cutout: fill ", fill, " is not finite");
  return planned(pixel_maps::Cutout{{}, static_cast<std::int32_t>(size), fill}, text_of("size ", size, ", fill ", fill),
                 [size = size](const DrawContext& context, std::size_t, Random& random, std::span<float> corner) {
                   corner[0] = static_cast<float>(below(random, context.height) - size / 2);
                   corner[1] = static_cast<float>(below(random, context.width) - size / 2);
                 });
}

Transform brightness_contrast(const BrightnessContrastOptions& options) {
  const auto [brightness, contrast, pivot] = options;
  for (const double most : {brightness, contrast})
    check(most >= 0 && most <= static_cast<double>(most_pixels), "brightness_contrast: brightness ", brightness,
          " and contrast ", contrast, " are not in 0..", most_pixels);
  check(pivot == 0 || (std::isfinite(pivot) && contrast < 1), "brightness_contrast: contrast ", contrast,
        " about a pivot of ", pivot, " is not below 1");
  const std::string about = pivot == 0 ? "" : text_of(", pivot ", pivot);
  return planned(pixel_maps::BrightnessContrast{}, text_of("brightness ", brightness, ", contrast ", contrast, about),
                 [options](const DrawContext&, std::size_t, Random& random, std::span<float> by) {
                   const double u = random.uniform(-options.brightness, options.brightness);
                   const double v = random.uniform(-options.contrast, options.contrast);
                   const double p = options.pivot;
                   by[0] = static_cast<float>(p == 0 ? u : u - p + p / (1 + v));
                   by[1] = static_cast<float>(v);
                 });
}

}  // namespace mixgrad::data

void mixgrad::kernels::transform(Cpu, const pixel_maps::PixelMap& any_map, const Tensor& x, const Tensor& table,
                                 Out y) {
  constexpr std::int64_t grain = std::int64_t{1} << 14;  // elements per range
  const pixel_maps::Image image{static_cast<std::int32_t>(x.size(1)), static_cast<std::int32_t>(x.size(2))};
  const float *from = x.data<float>(), *rows = table.data<float>();
  float* to = y.mutable_data<float>();
  const auto transform_images = [&](const auto& map, auto channels) {  // faster where they are a constant
    const std::int64_t size = std::int64_t{image.height} * image.width * channels;
    parallel_for(x.size(0), rows_per_range(size, grain), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) {
        // Its own copy: else what is written might change it, and each pixel would read it again.
        float row[std::remove_cvref_t<decltype(map)>::columns];
        std::copy_n(rows + n * map.columns, map.columns, row);
        const float* const pixel = from + n * size;
        float* out = to + n * size;
        for (std::int32_t i = 0; i < image.height; ++i)
          for (std::int32_t j = 0; j < image.width; ++j, out += channels) {
            const std::int64_t source = map.source(image, row, i, j);
            for (std::int64_t c = 0; c < channels; ++c)
              out[c] = source == pixel_maps::nowhere ? map.fill : map.value(pixel[source * channels + c], row);
          }
      }
    });
  };
  std::visit(
      [&](const auto& map) {
        if (x.size(3) == 3) transform_images(map, std::integral_constant<std::int64_t, 3>{});
        else transform_images(map, x.size(3));
      },
      any_map);
}
