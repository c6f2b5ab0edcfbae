#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "mixgrad.h"
#include "tests/error.h"
#include "tests/same.h"
#include "tests/training.h"

using namespace mixgrad;
using data::Transform;
using test::At;
using test::at;
using test::check_refused;
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
                                             {"cutout", data::cutout({.size = 4})}};
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
    CHECK(!same(results[0], transform(x, other)));
    CHECK(same(x, copy));
    Random random(1);
    CHECK(transform(Tensor::empty({0, 28, 28, 3}), random).shape() == Shape{0, 28, 28, 3});
    CHECK(transform(Tensor::empty({2, 0, 28, 3}), random).shape() == Shape{2, 0, 28, 3});
    check_refused([&] { transform(x.to(DType::f64), random); }, name + ": images must be f32");
    check_refused([&] { transform(Tensor::zeros({28, 28}), random); }, "got f32[28, 28]");
  }
}

TEST_CASE("transforms: options that make no sense are refused") {
  check_refused([] { data::random_crop({.padding = -1}); }, "padding -1");
  check_refused([] { data::random_crop({.padding = std::numeric_limits<std::int64_t>::max()}); }, "padding");
  check_refused([] { data::horizontal_flip({.probability = 1.5}); }, "probability 1.5");
  check_refused([] { data::horizontal_flip({.probability = std::nan("")}); }, "probability");
  check_refused([] { data::cutout({.size = 0}); }, "size 0");
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

TEST_CASE("transform callback: mixup mixes transformed images; transforms of mixed images are refused") {
  train::Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(crop_and_cut());
  Tensor transformed;
  augment::MixPlan plan;
  learn.add(at(&At::batch_begin, [&](train::Learner& l) { transformed = l.x(); }));
  learn.mixup({.plan = [&](std::uint32_t, std::int64_t batch, std::int64_t size) {
    Random random(static_cast<std::uint64_t>(batch));
    return plan = augment::draw_mix_plan(size, {}, random);
  }});
  learn.add(at(&At::batch_begin,
               [&](train::Learner& l) { CHECK(same(l.x(), augment::mix(transformed, transformed, plan))); }));
  learn.fit(1);

  train::Learner wrong(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
  wrong.mixup();
  wrong.add(crop_and_cut());
  check_refused([&] { wrong.fit(1); }, "before mixup");
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
