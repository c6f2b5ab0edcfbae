#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/parallel.h"
#include "data/synthetic_digits.h"
#include "tests/error.h"

using mixgrad::data::LabelledImages;
using mixgrad::data::Split;
using mixgrad::data::synthetic_digits;
using mixgrad::test::check_refused;

namespace {

std::vector<std::uint8_t> pixels(const LabelledImages& digits) { return digits.images.to_vector<std::uint8_t>(); }
std::vector<std::int32_t> labels(const LabelledImages& digits) { return digits.labels.to_vector<std::int32_t>(); }

std::uint64_t fnv1a(const std::vector<std::uint8_t>& bytes) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const std::uint8_t byte : bytes) hash = (hash ^ byte) * 0x100000001b3;
  return hash;
}

}  // namespace

TEST_CASE("synthetic digits: shapes and types") {
  const LabelledImages digits = synthetic_digits(7, 1, Split::train);
  CHECK(digits.images.shape() == mixgrad::Shape{7, 28, 28, 1});
  CHECK(digits.images.dtype() == mixgrad::DType::u8);
  CHECK(digits.labels.shape() == mixgrad::Shape{7});
  CHECK(digits.labels.dtype() == mixgrad::DType::i32);
}

TEST_CASE("synthetic digits: these very bytes on every platform") {
  CHECK(fnv1a(pixels(synthetic_digits(100, 42, Split::train))) == 4342117989446258656u);
}

TEST_CASE("synthetic digits: one seed gives one set, whatever the number of threads or of images") {
  const int threads = mixgrad::num_threads();
  mixgrad::set_num_threads(1);
  const LabelledImages one = synthetic_digits(300, 5, Split::train);
  mixgrad::set_num_threads(2);
  const LabelledImages two = synthetic_digits(300, 5, Split::train), more = synthetic_digits(400, 5, Split::train);
  mixgrad::set_num_threads(threads);
  CHECK(pixels(one) == pixels(two));
  CHECK(labels(one) == labels(two));
  std::vector<std::uint8_t> start = pixels(more);
  start.resize(300 * 28 * 28);
  CHECK(pixels(one) == start);
}

TEST_CASE("synthetic digits: another seed or split gives other images in another order") {
  const LabelledImages digits = synthetic_digits(100, 5, Split::train);
  for (const LabelledImages& other : {synthetic_digits(100, 6, Split::train), synthetic_digits(100, 5, Split::valid)}) {
    CHECK(pixels(digits) != pixels(other));
    CHECK(labels(digits) != labels(other));
  }
}

TEST_CASE("synthetic digits: every ten images hold every digit") {
  const std::vector<std::int32_t> digit = labels(synthetic_digits(1000, 3, Split::valid));
  for (std::size_t begin = 0; begin < digit.size(); begin += 10) {
    std::array<int, 10> times{};
    for (std::size_t i = begin; i < begin + 10; ++i) ++times.at(static_cast<std::size_t>(digit[i]));
    for (const int n : times) CHECK(n == 1);
  }
}

TEST_CASE("synthetic digits: each fills a box of 20 pixels and has its centre of mass in the middle") {
  constexpr std::size_t count = 1000, size = 28;
  const std::vector<std::uint8_t> image = pixels(synthetic_digits(count, 9, Split::train));
  double worst = 0;
  for (std::size_t n = 0; n < count; ++n) {
    double mass = 0, moment_x = 0, moment_y = 0;
    std::size_t left = size, right = 0, top = size, bottom = 0;
    for (std::size_t y = 0; y < size; ++y)
      for (std::size_t x = 0; x < size; ++x) {
        const double ink = image[(n * size + y) * size + x] / 255.0;
        mass += ink;
        moment_x += ink * (static_cast<double>(x) - 14);
        moment_y += ink * (static_cast<double>(y) - 14);
        if (ink < 0.3) continue;
        left = std::min(left, x), right = std::max(right, x), top = std::min(top, y), bottom = std::max(bottom, y);
      }
    CHECK(mass > 15);   // the thinnest stroke, 1.4 pixels wide, is about 18 long
    CHECK(mass < 300);  // three quarters of the box
    const std::size_t extent = std::max(right - left, bottom - top) + 1;
    CHECK(extent >= 17);
    CHECK(extent <= 22);
    worst = std::max({worst, std::abs(moment_x / mass), std::abs(moment_y / mass)});
  }
  // Half a pixel by choice; the rest because the centre of the path stands for that of the ink, which counts once
  // where strokes lie on each other.
  CHECK(worst < 2);
}

TEST_CASE("synthetic digits: a bad count is refused by name") {
  for (const std::int64_t count : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{1} << 31}) {
    check_refused([&] { synthetic_digits(count, 1, Split::train); },
                  "synthetic_digits: count " + std::to_string(count));
  }
}
