// Cross-entropy: of indices, of two labels in one pass, with class weights.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "error.h"
#include "mixgrad.h"
#include "op_cases.h"
#include "same.h"

using namespace mixgrad;
using namespace mixgrad::nn;
using mixgrad::test::check_refused;
using mixgrad::test::largest_difference;
using mixgrad::test::normal;

TEST_CASE("cross_entropy: the logarithm of the class count for equal logits, and one-hot equals index") {
  CHECK(std::abs(cross_entropy(Tensor::zeros({3, 10}), Tensor::from({0, 4, 9}, {3})).item() - std::log(10)) < 1e-6);
  const Tensor logits = normal({2, 3}, DType::f64), one_hot = Tensor::from({0.0, 0.0, 1.0, 1.0, 0.0, 0.0}, {2, 3});
  const double difference =
      cross_entropy(logits, Tensor::from({2, 0}, {2})).item() - cross_entropy(logits, one_hot).item();
  CHECK(std::abs(difference) < 1e-15);  // the same numbers, with zeros added
}

TEST_CASE("cross_entropy: two labels in one pass are the dense form on their mixture, in value and in gradient") {
  const Tensor weights = Tensor::from({0.5f, 1.0f, 0.0f, 3.0f}, {4});
  const Tensor y = Tensor::from({0, 3, 2, 1, 2}, {5}), partner = Tensor::from({1, 3, 0, 2, 3}, {5});
  const Tensor lambda = Tensor::from({0.75, 0.5, 0.0, 1.0, 0.625}, {5});
  for (const CrossEntropyOptions& options :
       {CrossEntropyOptions{}, {.label_smoothing = 0.3}, {.class_weights = weights}, {0.1, weights}})
    for (const Tensor& share : {lambda, Tensor::full({}, 0.375, {.dtype = DType::f64})}) {
      const auto result = [&](auto loss) {
        const Tensor logits = normal({5, 4}, DType::f64).requires_grad_();
        const Tensor each = loss(logits);
        sum(each * normal({5}, DType::f64)).backward();
        return concat({each.detach(), reshape(logits.grad(), {20})}, 0);
      };
      const Tensor column = share.rank() ? reshape(share, {5, 1}) : share;
      const Tensor dense = column * one_hot(y, 4, DType::f64) + (1.0 - column) * one_hot(partner, 4, DType::f64);
      const Tensor mixed = result([&](const Tensor& x) { return cross_entropy_mixed(x, y, partner, share, options); });
      const Tensor expected = result([&](const Tensor& x) { return cross_entropy_per_sample(x, dense, options); });
      CHECK(largest_difference(mixed, expected) < 1e-14);
    }
}

TEST_CASE("cross_entropy: with two labels, a wrong shape, dtype or index is refused") {
  const Tensor logits = normal({2, 3}), y = Tensor::from({0, 2}, {2}), lambda = Tensor::from({0.5f, 1.0f}, {2});
  const auto text = [&](const Tensor& partner, const Tensor& share) {
    return test::error_of([&] { cross_entropy_mixed(logits, y, partner, share); });
  };
  CHECK(text(y, lambda) == "");
  CHECK(text(Tensor::from({0, 3}, {2}), lambda) == "cross_entropy: index 3 at position 1 is outside 0..2");
  CHECK(text(Tensor::from({0}, {1}), lambda) ==
        "cross_entropy: for logits f32[2, 3] each target must be i32 [N], got i32[1]");
  CHECK(text(y, Tensor::ones({3})) ==
        "cross_entropy: for logits f32[2, 3] lambda must be [N] or [] of the same dtype, got f32[3]");
  CHECK(text(y, lambda.to(DType::f64)) ==
        "cross_entropy: for logits f32[2, 3] lambda must be [N] or [] of the same dtype, got f64[2]");
}

TEST_CASE("cross_entropy: a logit of -inf costs nothing where no label wants it") {
  const Tensor logits = Tensor::from({1.0f, 1.0f, -std::numeric_limits<float>::infinity()}, {1, 3}).requires_grad_();
  const Tensor loss = cross_entropy(logits, Tensor::from({0}, {1}));
  loss.backward();
  CHECK(loss.item() == doctest::Approx(std::log(2)));
  CHECK(logits.grad().to_vector<float>() == std::vector<float>{-0.5f, 0.5f, 0.0f});
}

TEST_CASE("cross_entropy: class weights that are negative or no numbers are refused when they are given") {
  for (const float bad : {-1.f, std::nanf(""), HUGE_VALF})
    CHECK_THROWS_WITH_AS(cross_entropy_with({.class_weights = Tensor::from({1.f, bad}, {2})}),
                         doctest::Contains("cross_entropy: class weight "), Error);
  CHECK_NOTHROW(cross_entropy_with({.class_weights = Tensor::from({1.f, 0.f}, {2})}));
}

TEST_CASE("cross_entropy: an ignored label counts for nothing, and of two mixed labels the other keeps its weight") {
  const Tensor logits = normal({4, 3}, DType::f64);
  constexpr std::int32_t none = -100;
  const Tensor y = Tensor::from({0, none, 2, none}, {4}), partner = Tensor::from({1, 2, none, none}, {4});
  const Tensor lambda = Tensor::from({0.75, 0.625, 0.5, 0.25}, {4});
  const Tensor weights = Tensor::from({0.5f, 2.0f, 3.0f}, {3});
  for (const double smoothing : {0.0, 0.3}) {
    const CrossEntropyOptions options{.label_smoothing = smoothing, .class_weights = weights, .ignore_index = none};
    const CrossEntropyOptions whole{.label_smoothing = smoothing, .class_weights = weights};
    const auto loss = [&](std::int64_t row, std::int32_t label) {
      return cross_entropy_per_sample(slice(logits, row, row + 1), Tensor::from({label}, {1}), whole).item();
    };
    const auto alone = cross_entropy_per_sample(logits, y, options).to_vector<double>();
    CHECK(alone[0] == doctest::Approx(loss(0, 0)));
    CHECK(alone[1] == 0);
    CHECK(alone[2] == doctest::Approx(loss(2, 2)));
    CHECK(alone[3] == 0);
    const auto mixed = cross_entropy_mixed(logits, y, partner, lambda, options).to_vector<double>();
    CHECK(mixed[0] == doctest::Approx(0.75 * loss(0, 0) + 0.25 * loss(0, 1)));
    CHECK(mixed[1] == doctest::Approx(0.375 * loss(1, 2)));
    CHECK(mixed[2] == doctest::Approx(0.5 * loss(2, 2)));
    CHECK(mixed[3] == 0);
    // A mean is over all four samples.
    CHECK(cross_entropy_with(options)(logits, y).item() == doctest::Approx((loss(0, 0) + loss(2, 2)) / 4));
  }
  const Tensor leaf = logits.clone().requires_grad_();
  sum(cross_entropy_per_sample(leaf, y, {.ignore_index = none})).backward();
  const auto gradient = leaf.grad().to_vector<double>();
  for (const std::size_t i : {3u, 4u, 5u, 9u, 10u, 11u}) CHECK(gradient[i] == 0);
  CHECK(gradient[0] < 0);
  // An ordinary class can be ignored too; other indices are refused as ever.
  CHECK(cross_entropy_per_sample(logits, Tensor::from({2, 2, 2, 2}, {4}), {.ignore_index = 2}).to_vector<double>() ==
        std::vector<double>(4, 0));
  CHECK(test::error_of([&] { cross_entropy_per_sample(logits, y, {.ignore_index = -1}); }) ==
        "cross_entropy: index -100 at position 1 is outside 0..2");
  CHECK(cross_entropy_with({.ignore_index = none}).name == "cross_entropy, ignore_index -100");
}
