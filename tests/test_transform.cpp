#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <span>
#include <string>
#include <vector>

#include "mixgrad.h"
#include "tests/error.h"
#include "tests/same.h"
#include "tests/training.h"

using namespace mixgrad;
using data::Transform;
using enum data::Border;
using test::At;
using test::at;
using test::check_refused;
using test::contains;
using test::digits;
using test::quiet;
using test::same;

namespace {

// Distinct numbers, none of them zero.
Tensor images(const Shape& shape) {
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i + 1);
  return Tensor::from(values, shape);
}

struct Image {
  const Tensor& x;
  std::int64_t n;
  // Zero outside.
  float at(std::int64_t i, std::int64_t j, std::int64_t c) const {
    if (i < 0 || j < 0 || i >= x.size(1) || j >= x.size(2)) return 0;
    return x.data<float>()[((n * x.size(1) + i) * x.size(2) + j) * x.size(3) + c];
  }
};

// Compares every pixel of y with expected(image of x, i, j, c).
template <class F>
void check_image(const Tensor& x, const Tensor& y, std::int64_t n, const F& expected) {
  bool same = y.shape() == x.shape();
  for (std::int64_t i = 0; i < x.size(1); ++i)
    for (std::int64_t j = 0; j < x.size(2); ++j)
      for (std::int64_t c = 0; c < x.size(3); ++c)
        same = same && Image{y, n}.at(i, j, c) == expected(Image{x, n}, i, j, c);
  CAPTURE(n);
  CHECK(same);
}

const std::vector<Shape> shapes{{20, 5, 7, 3}, {20, 1, 1, 1}, {300, 28, 28, 1}, {3, 2, 9, 4}};

struct Named {
  const char* name;
  Transform transform;
};
const std::vector<Named>& all_transforms() {
  static const std::vector<Named> transforms{{"random_crop", data::random_crop({.padding = 3})},
                                             {"horizontal_flip", data::horizontal_flip()},
                                             {"random_crop", data::random_crop({.padding = 3, .border = reflect})},
                                             {"horizontal_flip", data::horizontal_flip({.alternating = true})},
                                             {"cutout", data::cutout({.size = 4})},
                                             {"brightness_contrast", data::brightness_contrast()}};
  return transforms;
}

std::shared_ptr<train::TransformCallback> crop_and_cut() {
  return std::make_shared<train::TransformCallback>(
      std::vector{data::random_crop({.padding = 2}), data::cutout({.size = 5, .fill = 0.5f})});
}

}  // namespace

TEST_CASE("random_crop: a window of the image with zeros around it, uniform in both directions") {
  for (const Shape& shape : shapes)
    for (const std::int64_t padding : {0, 1, 3, 40}) {
      const Tensor x = images(shape);
      Random random(1), same(1);
      const Tensor y = data::random_crop({.padding = padding})(x, random);
      for (std::int64_t n = 0; n < x.size(0); ++n) {
        const std::int64_t dy = same.below(static_cast<std::uint32_t>(2 * padding + 1));
        const std::int64_t dx = same.below(static_cast<std::uint32_t>(2 * padding + 1));
        check_image(x, y, n, [&](const Image& image, std::int64_t i, std::int64_t j, std::int64_t c) {
          return image.at(i + dy - padding, j + dx - padding, c);
        });
      }
    }
  // A single white pixel shows where each window was: all 25 places, none of them much rarer than 1 in 25.
  std::vector<float> dot(5 * 5, 0);
  dot[12] = 1;
  const Tensor x = gather(Tensor::from(dot, {1, 5, 5, 1}), Tensor::zeros({10'000}, {.dtype = DType::i32}));
  Random random(2);
  const Tensor y = data::random_crop({.padding = 2})(x, random);
  std::vector<float> counts(25, 0);
  for (std::int64_t n = 0; n < 10'000; ++n)
    for (std::int64_t p = 0; p < 25; ++p) counts[static_cast<std::size_t>(p)] += y.data<float>()[n * 25 + p];
  for (const float count : counts) CHECK(std::abs(count - 400) < 100);  // 5 standard deviations
}

TEST_CASE("horizontal_flip: mirrors each image with its probability") {
  for (const Shape& shape : shapes)
    for (const double probability : {0.0, 0.3, 0.5, 1.0}) {
      const Tensor x = images(shape);
      Random random(3), same(3);
      const Tensor y = data::horizontal_flip({.probability = probability})(x, random);
      for (std::int64_t n = 0; n < x.size(0); ++n) {
        const bool flip = same.uniform() < probability;
        CHECK(((probability > 0 && probability < 1) || flip == (probability == 1)));
        check_image(x, y, n, [&](const Image& image, std::int64_t i, std::int64_t j, std::int64_t c) {
          return image.at(i, flip ? x.size(2) - 1 - j : j, c);
        });
      }
    }
}

TEST_CASE("cutout: blanks a square about a centre in the image, cut off at its border") {
  for (const Shape& shape : shapes)
    for (const std::int64_t size : {1, 2, 5, 100}) {
      const Tensor x = images(shape);
      Random random(4), same(4);
      const Tensor y = data::cutout({.size = size, .fill = -2})(x, random);
      for (std::int64_t n = 0; n < x.size(0); ++n) {
        const std::int64_t cy = same.below(static_cast<std::uint32_t>(x.size(1)));
        const std::int64_t cx = same.below(static_cast<std::uint32_t>(x.size(2)));
        check_image(x, y, n, [&](const Image& image, std::int64_t i, std::int64_t j, std::int64_t c) {
          const std::int64_t di = i - cy + size / 2, dj = j - cx + size / 2;
          return di >= 0 && di < size && dj >= 0 && dj < size ? -2.0f : image.at(i, j, c);
        });
      }
    }
}

TEST_CASE("transforms: the same stream gives the same batch for any number of threads, and the input stays") {
  const int threads = num_threads();
  for (const Named& named : all_transforms()) {
    const std::string name = named.name;
    const Transform& transform = named.transform;
    CAPTURE(name);
    const Tensor x = images({300, 28, 28, 3}), copy = x.clone();
    std::vector<Tensor> results;
    for (const int count : {1, 2, 5}) {
      set_num_threads(count);
      Random random(9, Purpose::transform, 1, 2);
      results.push_back(transform(x, random));
    }
    set_num_threads(threads);
    CHECK(same(results[0], results[1]));
    CHECK(same(results[0], results[2]));
    CHECK(!same(results[0], x));
    Random other(9, Purpose::transform, 1, 3);
    const bool draws_by_sample = contains(transform.description(), "alternating on");
    CHECK(same(results[0], transform(x, other)) == draws_by_sample);
    CHECK(same(x, copy));
    Random random(1);
    CHECK(transform(Tensor::empty({0, 28, 28, 3}), random).shape() == Shape{0, 28, 28, 3});
    CHECK(transform(Tensor::empty({2, 0, 28, 3}), random).shape() == Shape{2, 0, 28, 3});
    check_refused([&] { transform(x.to(DType::f64), random); }, name + ": images must be f32");
    check_refused([&] { transform(Tensor::zeros({28, 28}), random); }, "got f32[28, 28]");
  }
}

TEST_CASE("random_crop: a reflected border does not repeat the outermost pixels") {
  const auto reflected = [](std::int64_t at, std::int64_t extent) {  // numpy.pad's "reflect": there and back again
    const std::int64_t period = 2 * (extent - 1), within = ((at % period) + period) % period;
    return std::min(within, period - within);
  };
  for (const Shape& shape : {Shape{40, 5, 7, 3}, {40, 6, 5, 1}, {40, 5, 9, 4}, {9, 28, 28, 3}})
    for (const std::int64_t padding : {0, 1, 3, 4}) {
      const Tensor x = images(shape);
      Random random(1), same(1);
      const Tensor y = data::random_crop({.padding = padding, .border = reflect})(x, random);
      for (std::int64_t n = 0; n < x.size(0); ++n) {
        const std::int64_t dy = same.below(static_cast<std::uint32_t>(2 * padding + 1)) - padding;
        const std::int64_t dx = same.below(static_cast<std::uint32_t>(2 * padding + 1)) - padding;
        check_image(x, y, n, [&](const Image& image, std::int64_t i, std::int64_t j, std::int64_t c) {
          return image.at(reflected(i + dy, x.size(1)), reflected(j + dx, x.size(2)), c);
        });
      }
    }
  const Tensor row = data::random_crop({.padding = 2, .border = reflect})
                         .apply(images({1, 1, 4, 1}), Tensor::from({0.0f, -2.0f}, {2}));
  CHECK(row.to_vector<float>() == std::vector<float>{3, 2, 1, 2});
}

TEST_CASE("random_crop: a reflected border must be narrower than the image is high and wide") {
  Random random(1);
  const Transform crop = data::random_crop({.padding = 4, .border = reflect});
  crop(images({1, 5, 5, 1}), random);
  check_refused([&] { crop(images({1, 4, 9, 1}), random); }, "padding 4 with a reflected border");
  check_refused([&] { crop(images({1, 9, 4, 1}), random); }, "9 x 4");
  data::random_crop({.padding = 40})(images({1, 4, 9, 1}), random);
}

TEST_CASE("horizontal_flip: alternating, a sample is shown one way in even passes and the other way in odd ones") {
  constexpr std::int32_t samples = 1000;
  std::vector<std::int32_t> indices(samples);
  std::iota(indices.begin(), indices.end(), 0);
  const Transform flip = data::horizontal_flip({.alternating = true});
  const auto draw = [&](std::span<const std::int32_t> of, std::uint32_t pass, std::uint64_t seed = 7) {
    Random random(pass);
    return flip.draw({.indices = of, .height = 2, .width = 2, .pass = pass, .seed = seed}, random);
  };
  const std::vector<float> first = draw(indices, 0), second = draw(indices, 1);
  CHECK(std::abs(std::accumulate(first.begin(), first.end(), 0.0f) - 500) < 80);  // 5 standard deviations
  for (std::size_t i = 0; i < samples; ++i) CHECK(second[i] == 1 - first[i]);
  CHECK(draw(indices, 2) == first);
  CHECK(draw(indices, 7) == second);
  CHECK(draw(indices, 0, 8) != first);
  // Neither the batch nor the order matters.
  const std::vector<std::int32_t> batch{999, 3, 500, 3, 0};
  for (std::size_t i = 0; i < batch.size(); ++i) {
    CHECK(draw(batch, 0)[i] == first[static_cast<std::size_t>(batch[i])]);
    CHECK(draw(batch, 1)[i] == second[static_cast<std::size_t>(batch[i])]);
  }
  // Its stream is that of no transform in a batch.
  std::vector<float> from_transform;
  for (std::uint32_t k = 0; k < samples; ++k)
    from_transform.push_back(Random(7, Purpose::transform, 0, 0, k).uniform() < 0.5);
  CHECK(first != from_transform);
  // Other probabilities are those of the even passes.
  Random random(1);
  const auto rare = data::horizontal_flip({.probability = 0, .alternating = true});
  CHECK(rare.draw({.indices = batch, .height = 1, .width = 1}, random) == std::vector<float>(5, 0));
  CHECK(rare.draw({.indices = batch, .height = 1, .width = 1, .pass = 1}, random) == std::vector<float>(5, 1));
  manual_seed(7);
  CHECK(flip.draw({.indices = indices, .height = 2, .width = 2}, random) == first);
}

TEST_CASE("brightness_contrast: a pivot is the brightness that contrast leaves alone") {
  const Tensor x = Tensor::full({8, 2, 2, 1}, 0.5, {});
  Random random(3), again(3);
  const auto y = data::brightness_contrast({.brightness = 0, .contrast = 0.9, .pivot = 0.5})(x, random);
  for (const float value : y.to_vector<float>()) CHECK(value == doctest::Approx(0.5).epsilon(1e-6));
  // p + (x - p + u) (1 + v), with the same draws as without.
  const Tensor image = Tensor::full({8, 1, 1, 1}, 0.75, {});
  Random first(4), second(4);
  const auto about = data::brightness_contrast({.brightness = 0.2, .contrast = 0.3, .pivot = 0.25})(image, first);
  const auto plain = data::brightness_contrast({.brightness = 0.2, .contrast = 0.3})(image - 0.25, second) + 0.25;
  CHECK(max(abs(about - plain)).item() < 1e-6);
  check_refused([] { data::brightness_contrast({.contrast = 1, .pivot = 0.5}); }, "pivot of 0.5 is not below 1");
  CHECK(data::brightness_contrast({.brightness = 0, .contrast = 0.5, .pivot = 0.5}).description() ==
        "brightness_contrast: brightness 0, contrast 0.5, pivot 0.5");
}

TEST_CASE("brightness_contrast: one shift and one factor for each image") {
  for (const Shape& shape : shapes) {
    const Tensor x = images(shape);
    Random random(5), same(5);
    const Tensor y = data::brightness_contrast({.brightness = 0.3, .contrast = 0.2})(x, random);
    for (std::int64_t n = 0; n < x.size(0); ++n) {
      const auto u = static_cast<float>(same.uniform(-0.3, 0.3)), v = static_cast<float>(same.uniform(-0.2, 0.2));
      CHECK(u != v);
      check_image(x, y, n, [&](const Image& image, std::int64_t i, std::int64_t j, std::int64_t c) {
        const float shifted = image.at(i, j, c) + u, factor = 1 + v;
        return shifted * factor;
      });
    }
  }
  Random random(6);
  const Tensor x = images({3, 4, 5, 3});
  CHECK(same(data::brightness_contrast({.brightness = 0, .contrast = 0})(x, random), x));
}

TEST_CASE("transforms: drawing a table and applying it is calling the transform; rows stay within the options") {
  constexpr std::int64_t count = 2000;
  const Tensor x = images({count, 6, 9, 1});
  std::vector<std::int32_t> indices(count);
  std::iota(indices.begin(), indices.end(), 0);
  const data::DrawContext context{.indices = indices, .height = 6, .width = 9};
  struct Bounds {
    Transform transform;
    std::vector<float> least, most;  // of each column; all of them are reached, or nearly
  };
  const std::vector<Bounds> all{
      {data::random_crop({.padding = 3}), {-3, -3}, {3, 3}},
      {data::random_crop({.padding = 5, .border = reflect}), {-5, -5}, {5, 5}},
      {data::horizontal_flip(), {0}, {1}},
      {data::horizontal_flip({.alternating = true}), {0}, {1}},
      {data::cutout({.size = 3}), {-1, -1}, {4, 7}},
      {data::cutout({.size = 4}), {-2, -2}, {3, 6}},
      {data::brightness_contrast({.brightness = 0.5, .contrast = 0.25}), {-0.5, -0.25}, {0.5, 0.25}}};
  for (const auto& [transform, least, most] : all) {
    const std::string name = transform.description();  // clang captures no structured binding
    CAPTURE(name);
    CHECK(transform.is_planned());
    Random random(8), again(8);
    const std::vector<float> table = transform.draw(context, random);
    REQUIRE(table.size() == indices.size() * least.size());
    for (std::size_t column = 0; column < least.size(); ++column) {
      float low = table[column], high = low;
      for (std::size_t i = column; i < table.size(); i += least.size()) {
        low = std::min(low, table[i]);
        high = std::max(high, table[i]);
      }
      const bool whole = most[column] >= 1;
      CHECK(low >= least[column]);
      CHECK(low <= (whole ? least[column] : 0.9f * least[column]));
      CHECK(high <= most[column]);
      CHECK(high >= (whole ? most[column] : 0.9f * most[column]));
    }
    const Tensor rows = Tensor::from(table, {count, std::ssize(least)});
    const Tensor y = transform.apply(x, rows);
    CHECK(same(y, transform(x, again)));
    CHECK(random.bits() == again.bits());
    CHECK(same(y, transform.apply(x, Tensor::from(table, {rows.numel()}))));
    CHECK(!y.is(x));
    // The first rows alone are the same table.
    Random fewer(8);
    const auto few = transform.draw({.indices = std::span(indices).first(3), .height = 6, .width = 9}, fewer);
    CHECK(few == std::vector<float>(table.begin(), table.begin() + std::ssize(few)));
    // Neither does a gradient flow.
    const Tensor with_gradient = x.clone().requires_grad_();
    CHECK(!transform.apply(with_gradient, rows).requires_grad());
    // Nothing to draw or to do.
    CHECK(transform.draw({.height = 6, .width = 9}, random).empty());
    CHECK(transform.apply(Tensor::empty({0, 6, 9, 1}), Tensor::empty({0})).shape() == Shape{0, 6, 9, 1});
  }
}

TEST_CASE("transforms: tables and images that do not fit are refused") {
  Random random(1);
  const Tensor x = images({2, 5, 6, 3});
  const std::vector<std::int32_t> indices{0, 1};
  for (const Named& named : all_transforms()) {
    const std::string name = named.name;
    const Transform& transform = named.transform;
    CAPTURE(name);
    const std::int64_t columns = std::ssize(transform.draw({.indices = indices, .height = 5, .width = 6}, random)) / 2;
    check_refused([&] { transform.apply(x, Tensor::zeros({2 * columns - 1})); },
                  name + ": images [2, 5, 6, 3] need a table");
    check_refused([&] { transform.apply(x, Tensor::zeros({2 * columns + 1})); }, text_of("f32 of ", columns));
    check_refused([&] { transform.apply(x, Tensor::zeros({2, columns}, {.dtype = DType::i32})); }, "got i32");
    check_refused([&] { transform.apply(x.to(DType::f64), Tensor::zeros({2, columns})); }, "got f64");
    check_refused([&] { transform.apply(slice(x, 0, 1), Tensor::zeros({2, columns})); }, "need a table");
    check_refused([&] { transform.draw({.indices = indices}, random); }, "0 x 0");
    check_refused([&] { transform.draw({.indices = indices, .height = 5, .width = -1}, random); }, "5 x -1");
    const std::int64_t wide = (1 << 24) + 1;
    check_refused([&] { transform.draw({.indices = indices, .height = 1, .width = wide}, random); }, "1 x 16777217");
    check_refused([&] { transform.draw({.indices = indices, .height = 1 << 16, .width = 1 << 16}, random); }, "65536");
    check_refused([&] { transform.apply(Tensor::empty({0, 1, wide, 1}), Tensor::empty({0})); }, "16777217");
    check_refused([&] { transform.apply(Tensor(), Tensor::zeros({2, columns})); }, "undefined");
  }
}

TEST_CASE("transforms: a table that was not drawn for these images reads nothing outside them") {
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> entries{-inf, -3e9f, -2e7f, -7, -6, -5, -1,   -0.5f, 0,
                                   0.5f, 4,     5,     6,  7,  11, 3e9f, inf,   std::nanf("")};
  const Tensor ones = Tensor::ones({1, 5, 6, 3});
  for (const Named& named : all_transforms())
    for (const float first : entries)
      for (const float second : entries) {
        if (contains(named.name, "contrast")) continue;
        const bool one_column = contains(named.name, "flip");
        const Tensor y =
            named.transform.apply(ones, one_column ? Tensor::from({first}, {1}) : Tensor::from({first, second}, {2}));
        for (const float value : y.to_vector<float>()) CHECK((value == 0 || value == 1));
      }
}

TEST_CASE("transforms: any function of a batch is one, but not a planned one") {
  Random random(1), same_stream(1);
  const Tensor x = images({2, 3, 3, 1});
  const Transform noise = [](const Tensor& x, Random& random) { return x + Tensor::full({}, random.uniform()); };
  CHECK(noise);
  CHECK(!noise.is_planned());
  CHECK(noise.description() == "a function");
  CHECK(same(noise(x, random), x + Tensor::full({}, same_stream.uniform())));
  check_refused([&] { noise.draw({}, random); }, "has no table");
  check_refused([&] { noise.apply(x, x); }, "has no table");
  const std::function<Tensor(const Tensor&, Random&)> function = [](const Tensor& x, Random&) { return x; };
  CHECK(Transform(function)(x, random).is(x));
  CHECK(Transform(data::cutout()).is_planned());
  for (const Transform& empty : {Transform(), Transform(std::function<Tensor(const Tensor&, Random&)>())}) {
    CHECK(!empty);
    check_refused([&] { empty(x, random); }, "empty");
    check_refused([&] { empty.draw({}, random); }, "no table");
  }
}

TEST_CASE("transforms: one's own can be planned, from operations on tensors") {
  const Transform negative =
      data::TransformPlan{.name = "negative",
                          .options = "half of them",
                          .columns = 1,
                          .draw = [](const data::DrawContext& context, std::size_t n, Random&,
                                     std::span<float> row) { row[0] = context.indices[n] % 2 ? -1 : 1; },
                          .apply =
                              [](const Tensor& x, const Tensor& table) {
                                return x * reshape(table, {x.size(0), 1, 1, 1});
                              }};
  CHECK(negative.description() == "negative: half of them");
  Random random(1);
  const Tensor x = images({3, 2, 2, 1}).requires_grad_(), y = negative(x, random);
  CHECK(!y.requires_grad());
  for (std::int64_t i = 0; i < 12; ++i) CHECK(y.data<float>()[i] == static_cast<float>(i / 4 == 1 ? -i - 1 : i + 1));
  check_refused([&] { negative.apply(x, Tensor::zeros({2})); }, "negative: images");
  check_refused([] { Transform(data::TransformPlan{.name = "none"}); }, "none: ");
}

TEST_CASE("transforms: descriptions are words") {
  CHECK(data::random_crop().description() == "random_crop: padding 4, border zero");
  CHECK(data::random_crop({.padding = 2, .border = reflect}).description() == "random_crop: padding 2, border reflect");
  CHECK(data::horizontal_flip().description() == "horizontal_flip: probability 0.5, alternating off");
  CHECK(data::horizontal_flip({.probability = 1, .alternating = true}).description() ==
        "horizontal_flip: probability 1, alternating on");
  CHECK(data::cutout({.fill = 0.25f}).description() == "cutout: size 8, fill 0.25");
  CHECK(data::brightness_contrast({.brightness = 0.14, .contrast = 0}).description() ==
        "brightness_contrast: brightness 0.14, contrast 0");
}

TEST_CASE("transforms: options that make no sense are refused") {
  check_refused([] { data::random_crop({.padding = -1}); }, "padding -1");
  check_refused([] { data::random_crop({.padding = std::numeric_limits<std::int64_t>::max()}); }, "padding");
  check_refused([] { data::horizontal_flip({.probability = 1.5}); }, "probability 1.5");
  check_refused([] { data::horizontal_flip({.probability = std::nan("")}); }, "probability");
  check_refused([] { data::random_crop({.border = static_cast<data::Border>(7)}); }, "neither zero nor reflect");
  check_refused([] { data::horizontal_flip({.probability = -0.1, .alternating = true}); }, "probability -0.1");
  check_refused([] { data::cutout({.size = 0}); }, "size 0");
  check_refused([] { data::cutout({.size = (1 << 20) + 1}); }, "size 1048577");
  check_refused([] { data::cutout({.fill = std::nanf("")}); }, "fill nan");
  for (const double wrong : {-0.1, std::nan(""), 1e7, std::numeric_limits<double>::infinity()}) {
    check_refused([&] { data::brightness_contrast({.brightness = wrong}); }, "brightness");
    check_refused([&] { data::brightness_contrast({.contrast = wrong}); }, text_of("contrast ", wrong));
  }
  check_refused([] { train::TransformCallback({Transform{}}); }, "empty");
}

TEST_CASE("transform callback: transform k of batch b in pass p draws from a stream of its own") {
  train::Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
  int checked = 0;
  learn.add(crop_and_cut());
  learn.add(at(&At::batch_begin, [&](train::Learner& learner) {
    Tensor x = learner.data.train.epoch(learner.pass)[learner.batch].x;
    const auto batch = static_cast<std::uint32_t>(learner.batch);
    Random crop(5, Purpose::transform, learner.pass, batch, 0), cut(5, Purpose::transform, learner.pass, batch, 1);
    x = data::random_crop({.padding = 2})(x, crop);
    x = data::cutout({.size = 5, .fill = 0.5f})(x, cut);
    CHECK(same(learner.x(), x));
    ++checked;
  }));
  learn.fit(2);
  learn.fit(1);  // in the pass after those
  CHECK(checked == 9);
}

TEST_CASE("transform callback: training is the same for any number of threads, and differs from plain training") {
  const auto train_loss = [](bool transformed, int threads) {
    set_num_threads(threads);
    manual_seed(5);
    train::Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
    if (transformed) learn.add(crop_and_cut());
    learn.fit(2);
    return learn.recorder->epochs().back().train_loss;
  };
  const int threads = num_threads();
  const double loss = train_loss(true, 1);
  CHECK(loss == train_loss(true, 3));
  CHECK(loss != train_loss(false, 1));
  set_num_threads(threads);
}

TEST_CASE("transform callback: validation and prediction are left alone") {
  manual_seed(5);
  const auto model = nn::simple_cnn({3, 4, 2});
  train::Learner plain(digits(40), model, quiet()), transformed(digits(40), model, quiet());
  transformed.add(crop_and_cut());
  transformed.fit(1);
  CHECK(transformed.validation->loss == plain.validate().loss);
  CHECK(transformed.validate().loss == plain.validate().loss);
  const Tensor x = digits(40).valid.epoch(0)[0].x;
  CHECK(same(transformed.predict(x), plain.predict(x)));
}

TEST_CASE("transform callback: mixup mixes transformed images, in whatever order the two were added") {
  const auto trained = [](bool transforms_first) {
    manual_seed(4);
    train::Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
    std::vector<augment::MixPlan> plans;
    if (transforms_first) learn.add(crop_and_cut());
    learn.mixup({.plan = [&](std::uint32_t, std::int64_t batch, std::int64_t size) {
      Random random(static_cast<std::uint64_t>(batch));
      return plans.emplace_back(augment::draw_mix_plan(size, {}, random));
    }});
    if (!transforms_first) learn.add(crop_and_cut());
    learn.add(at(&At::batch_begin, [&](train::Learner& l) {
      train::BatchPlan unmixed = l.plan;
      unmixed.mix.reset();
      const auto [input, target] = train::prepare(l.data.train.dataset(), unmixed);
      const Tensor& transformed = std::get<Tensor>(input);
      CHECK(same(l.x(), augment::mix(transformed, transformed, plans.back())));
    }));
    learn.fit(1);
    return test::weights(*learn.model);
  };
  CHECK(trained(true) == trained(false));
}

TEST_CASE("normalise: each channel less its mean, over its deviation, in training, validation and prediction") {
  nn::Normalise layer({0.5f, 10, -1}, {0.25f, 2, 4});
  const Tensor x = images({2, 3, 4, 3}), y = layer(x);
  const std::vector<float> means{0.5f, 10, -1}, deviations{0.25f, 2, 4};
  for (std::int64_t n = 0; n < 2; ++n)
    check_image(x, y, n, [&](const Image& image, std::int64_t i, std::int64_t j, std::int64_t c) {
      const auto k = static_cast<std::size_t>(c);
      return (image.at(i, j, c) - means[k]) / deviations[k];
    });
  CHECK(nn::parameters(layer).empty());
  CHECK(nn::named_buffers(layer).size() == 2);

  manual_seed(5);
  const nn::Sequential cnn = nn::simple_cnn({3, 4, 2});
  nn::Normalise in_front({0.1f, 0.2f, 0.3f}, {0.5f, 0.5f, 2.0f});
  train::Learner learn(digits(40), nn::Sequential(in_front, cnn), quiet());
  learn.fit(1);
  const Tensor batch = digits(40).valid.epoch(0)[0].x;
  train::Learner bare(digits(40), cnn, quiet());
  CHECK(same(learn.predict(batch), bare.predict(in_front(batch))));
}

TEST_CASE("normalise: figures and inputs that do not fit are refused") {
  const float inf = std::numeric_limits<float>::infinity();
  check_refused([] { nn::Normalise({}, {}); }, "0 means");
  check_refused([] { nn::Normalise({1, 2}, {1}); }, "2 means and 1 deviations");
  check_refused([] { nn::Normalise({1, 2}, {1, 0}); }, "channel 1 has mean 2 and deviation 0");
  check_refused([&] { nn::Normalise({inf}, {1}); }, "channel 0");
  check_refused([&] { nn::Normalise({0}, {inf}); }, "channel 0");
  nn::Normalise three({0, 0, 0}, {1, 1, 1});
  check_refused([&] { three(images({2, 5, 5, 1})); }, "must have 3 channels");
}
