// Test-time augmentation: which views there are, and how their outputs are averaged.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "mixgrad.h"
#include "tests/points.h"

using namespace mixgrad;
using namespace mixgrad::train;

namespace {

// Its outputs are the pixels of what it is given, so that each view is seen; counts images.
struct ShowsPixels : nn::Module {
  Tensor forward(const Tensor& x) override {
    CHECK(!training());
    CHECK(!grad_enabled());
    images += x.size(0);
    return flatten(x);
  }
  std::string name() const override { return "ShowsPixels"; }
  std::int64_t images = 0;
};

std::vector<float> of_pixels(const View& view, const Tensor& x) {
  ShowsPixels model;
  return predict(model, x, {.views = {view}}).to_vector<float>();
}

Tensor pixels_of(std::int64_t images, std::int64_t side = 3) {
  Random random(8);
  std::vector<float> pixels;
  for (std::int64_t i = 0; i < images * side * side; ++i) pixels.push_back(static_cast<float>(3 * random.uniform()));
  return Tensor::from(pixels, {images, side, side, 1});
}

// The mean over the six views of each 3 x 3 image, in f64, from indices written by hand.
std::vector<double> mean_of_six(const Tensor& x, double unshifted) {
  constexpr int up_left[] = {4, 3, 4, 1, 0, 1, 4, 3, 4}, down_right[] = {4, 5, 4, 7, 8, 7, 4, 5, 4};
  const auto pixels = x.to_vector<float>();
  std::vector<double> mean;
  for (std::size_t image = 0; image < pixels.size(); image += 9)
    for (std::size_t p = 0; p < 9; ++p) {
      double sum = 0;
      for (const std::size_t at : {p, p - p % 3 + 2 - p % 3}) {
        const auto pixel = [&](int source) { return double{pixels[image + static_cast<std::size_t>(source)]}; };
        sum += unshifted * pixel(static_cast<int>(at)) + pixel(up_left[at]) + pixel(down_right[at]);
      }
      mean.push_back(sum / (2 * unshifted + 4));
    }
  return mean;
}

double largest_probability(const float* logits, std::size_t classes) {
  double sum = 0;
  for (std::size_t c = 0; c < classes; ++c) sum += std::exp(double{logits[c]});
  return std::exp(double{*std::max_element(logits, logits + classes)}) / sum;
}

double worst_pixel(const std::vector<float>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

constexpr double few_roundings = 2e-6;  // of six terms of at most 3, in f32

}  // namespace

TEST_CASE("predict: a view is shifted, reflected at the border, and then mirrored") {
  using Pixels = std::vector<float>;
  const Tensor x = Tensor::from(Pixels{1, 2, 3, 4, 5, 6, 7, 8, 9}, {1, 3, 3, 1});
  CHECK(of_pixels({}, x) == Pixels{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK(of_pixels(view({.mirror = true}), x) == Pixels{3, 2, 1, 6, 5, 4, 9, 8, 7});
  CHECK(of_pixels(view({.dy = -1, .dx = -1}), x) == Pixels{5, 4, 5, 2, 1, 2, 5, 4, 5});
  CHECK(of_pixels(view({.dy = 1, .dx = 1}), x) == Pixels{5, 6, 5, 8, 9, 8, 5, 6, 5});
  CHECK(of_pixels(view({.dx = 1}), x) == Pixels{2, 3, 2, 5, 6, 5, 8, 9, 8});
  CHECK(of_pixels(view({.dx = 2, .mirror = true}), x) == Pixels{1, 2, 3, 4, 5, 6, 7, 8, 9});
  CHECK_THROWS_WITH_AS(of_pixels(view({.dy = -3}), x), "view: a shift by (-3, 0) needs larger images than [1, 3, 3, 1]",
                       Error);
}

TEST_CASE("predict: the weighted mean over airbench's six views, of logits") {
  const Tensor x = pixels_of(5);
  for (const double unshifted : {1.0, 2.0}) {
    ShowsPixels model;
    const Tensor output = predict(model, x, {.views = airbench_views(unshifted)});
    CHECK(output.shape() == Shape{5, 9});
    CHECK(worst_pixel(output.to_vector<float>(), mean_of_six(x, unshifted)) <= few_roundings);
    CHECK(model.training());
  }
}

TEST_CASE("predict: views for the images alone that the model is unsure of, of a batch or of all data") {
  constexpr std::int64_t count = 23, unsure = 7;
  constexpr double share = 0.3;  // of 23: 6.9
  const Tensor x = pixels_of(count);
  const auto plain = x.to_vector<float>();
  std::vector<double> sure(count), expected = mean_of_six(x, 1);
  for (std::size_t n = 0; n < count; ++n) sure[n] = largest_probability(&plain[9 * n], 9);
  auto sorted = sure;
  std::ranges::sort(sorted);
  for (std::size_t n = 0; n < count; ++n)
    if (sure[n] >= sorted[unsure])
      std::copy_n(plain.begin() + 9 * static_cast<int>(n), 9, expected.begin() + 9 * static_cast<int>(n));

  const TtaOptions options{.views = airbench_views(1), .unsure_share = share};
  ShowsPixels model;
  CHECK(worst_pixel(predict(model, x, options).to_vector<float>(), expected) <= few_roundings);
  CHECK(model.images == count + 6 * unsure);

  std::vector<std::int32_t> labels;
  for (std::int32_t n = 0; n < count; ++n) labels.push_back(n % 9);
  const auto samples =
      std::make_shared<data::TensorDataset>(x, Tensor::from(labels, {count}), std::vector<std::string>{});
  for (const bool shuffle : {false, true})
    for (const std::int64_t batch_size : {1, 4, 100}) {
      const data::DataLoader loader(samples, {.batch_size = batch_size, .shuffle = shuffle});
      const auto [output, target] = predict(model, loader, options);
      std::vector<double> in_order;
      std::vector<std::int32_t> labels_in_order;
      const auto epoch = loader.epoch(0);
      for (std::int64_t batch = 0; batch < epoch.size(); ++batch)
        for (const std::int32_t n : epoch.indices(batch)) {
          in_order.insert(in_order.end(), expected.begin() + 9 * n, expected.begin() + 9 * (n + 1));
          labels_in_order.push_back(n % 9);
        }
      CHECK(worst_pixel(output.to_vector<float>(), in_order) <= few_roundings);
      CHECK(target.to_vector<std::int32_t>() == labels_in_order);

      double loss = 0, hits = 0;
      for (std::size_t n = 0; n < count; ++n) {
        const double* const row = &in_order[9 * n];
        double sum = 0;
        for (int c = 0; c < 9; ++c) sum += std::exp(row[c]);
        loss += (std::log(sum) - row[labels_in_order[n]]) / count;
        const float* const logits = output.data<float>() + 9 * n;  // mirrored pixels are equal but for roundings
        hits += std::max_element(logits, logits + 9) - logits == labels_in_order[n];
      }
      const Validation validation = validate(model, loader, nn::cross_entropy, {accuracy}, cpu, options);
      CHECK(validation.loss == doctest::Approx(loss).epsilon(1e-6));  // f32
      CHECK(validation.metrics.at(0) == doctest::Approx(hits / count).epsilon(1e-6));
    }
}

TEST_CASE("predict: no image unsure, all of them, and outputs that are nan") {
  const Tensor x = pixels_of(4);
  ShowsPixels model;
  const auto plain = x.to_vector<float>();
  const auto with = [&](double share) {
    return predict(model, x, {.views = airbench_views(), .unsure_share = share}).to_vector<float>();
  };
  CHECK(with(0) == plain);
  CHECK(with(1) != plain);
  CHECK(predict(model, x, {.unsure_share = 0.5}).to_vector<float>() == plain);  // the plain view
  x.mutable_data<float>()[2 * 9] = std::nanf("");
  const auto nan_first = with(0.25);
  for (std::size_t n : {0u, 1u, 3u}) CHECK(std::equal(&plain[9 * n], &plain[9 * n + 9], &nan_first[9 * n]));
  CHECK(std::isnan(nan_first[2 * 9 + 2]));  // mirrored
}

TEST_CASE("predict: weights and shares that make no mean are refused") {
  const Tensor x = pixels_of(2);
  ShowsPixels model;
  CHECK_THROWS_WITH_AS(predict(model, x, {.views = {}}), "predict: there is no view with a weight", Error);
  CHECK_THROWS_AS(predict(model, x, {.views = {view({.weight = 0})}}), Error);
  CHECK_THROWS_WITH_AS(predict(model, x, {.views = {view({.weight = -1})}}), "predict: a view of weight -1", Error);
  for (const double share : {-0.1, 1.1, std::nan("")})
    CHECK_THROWS_AS(predict(model, x, {.unsure_share = share}), Error);
  nn::Sequential images;
  CHECK_THROWS_WITH_AS(predict(images, x, {.unsure_share = 0.5}), doctest::Contains("need outputs [N, C], not [2, 3"),
                       Error);
}
