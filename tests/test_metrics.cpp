// Metrics: accuracy, of mixed targets too, the loss floor, how good the probabilities are.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "mixgrad.h"
#include "tests/not_finite.h"

using namespace mixgrad;
using namespace mixgrad::train;
using namespace mixgrad::test;
using augment::MixedTarget;

TEST_CASE("accuracy: of index and dense targets, and errors by name") {
  const Tensor output = Tensor::from({0.9f, 0.1f, 0.2f, 0.8f, 0.6f, 0.4f}, {3, 2});
  CHECK(accuracy_of(output, Tensor::from<std::int32_t>({0, 1, 1}, {3})).item() == doctest::Approx(2.0 / 3));
  CHECK(accuracy_of(output, output).item() == 1.0);
  CHECK_THROWS_WITH_AS(accuracy_of(output, Tensor::zeros({4})), doctest::Contains("accuracy"), Error);
}

TEST_CASE("top_k_accuracy: k = 1 is accuracy, ties go to the lower class, nan is ahead of all") {
  const Tensor output = Tensor::from({5.f, 4.f, 3.f,                   // class 2 is third
                                      1.f, 1.f, 1.f,                   // ties: class 1 is second
                                      1.f, not_a_number<float>, 2.f,   // class 0 is third
                                      not_a_number<float>, 0.f, 1.f},  // class 2 is second
                                     {4, 3});
  const Tensor target = Tensor::from<std::int32_t>({2, 1, 0, 2}, {4});
  CHECK(top_k_accuracy(1).mean(output, target).item() == 0);
  CHECK(top_k_accuracy(2).mean(output, target).item() == 0.5);
  CHECK(top_k_accuracy(3).mean(output, target).item() == 1);
  const Tensor dense = one_hot(target, 3);
  CHECK(top_k_accuracy(2).mean(output, dense).item() == 0.5);
  Random random(1);
  std::vector<float> values;
  for (int i = 0; i < 300; ++i) values.push_back(std::floor(static_cast<float>(4 * random.uniform())));  // many ties
  const Tensor many = Tensor::from(values, {100, 3});
  const Tensor classes = argmax(Tensor::from(std::vector<float>(values.rbegin(), values.rend()), {100, 3}), 1);
  CHECK(top_k_accuracy(1).mean(many, classes).item() == accuracy_of(many, classes).item());
  // Of which f32 would make ties.
  const Tensor close = Tensor::from({1.0, 1.0 + 1e-12}, {1, 2}), second = Tensor::from<std::int32_t>({1}, {1});
  CHECK(top_k_accuracy(1).mean(close, second).item() == 1);
  CHECK(accuracy_of(close, second).item() == 1);
}

TEST_CASE("metrics: nan is the largest output, infinity the next, in all that looks for the largest") {
  constexpr float nan = not_a_number<float>, inf = infinity<float>;
  struct Case {
    std::vector<float> output;
    std::vector<std::int32_t> order;  // of the classes, the largest first
  };
  for (const auto& [output, order] :
       {Case{{1, nan, inf}, {1, 2, 0}}, Case{{nan, nan, 3}, {0, 1, 2}}, Case{{-inf, inf, nan}, {2, 1, 0}},
        Case{{inf, nan, nan}, {1, 2, 0}}, Case{{nan, nan, nan}, {0, 1, 2}}, Case{{inf, -inf, inf}, {0, 2, 1}}}) {
    const Tensor one = Tensor::from(output, {1, 3});
    CHECK(argmax(one, 1).to_vector<std::int32_t>()[0] == order[0]);
    const float largest = max(one).to_vector<float>()[0], wanted = output[static_cast<std::size_t>(order[0])];
    CHECK((largest == wanted || (std::isnan(largest) && std::isnan(wanted))));
    for (std::int32_t rank = 0; rank < 3; ++rank) {
      const Tensor target = Tensor::full({1}, order[static_cast<std::size_t>(rank)], {.dtype = DType::i32});
      CHECK(accuracy_of(one, target).item() == (rank == 0));
      CHECK(mixed_accuracy_of(one, target).item() == (rank == 0));
      CHECK(mixed_accuracy_of(one, one_hot(target, 3)).item() == (rank == 0));
      for (std::int64_t k = 1; k <= 3; ++k) CHECK(top_k_accuracy(k).mean(one, target).item() == (rank < k));
    }
  }
}

TEST_CASE("top_k_accuracy: its name has k in it, and a bad k or class is refused") {
  CHECK(top_k_accuracy(5).name == "top_5_accuracy");
  CHECK_THROWS_WITH_AS(top_k_accuracy(0), "top_k_accuracy: k = 0", Error);
  const Tensor output = Tensor::zeros({1, 3});
  CHECK_THROWS_WITH_AS(top_k_accuracy(4).mean(output, Tensor::from<std::int32_t>({0}, {1})),
                       "top_4_accuracy: there are 3 classes", Error);
  for (const std::int32_t bad : {-1, 3}) {
    const Tensor target = Tensor::from<std::int32_t>({bad}, {1});
    CHECK_THROWS_WITH_AS(top_k_accuracy(2).mean(output, target), doctest::Contains("top_2_accuracy: index "), Error);
    CHECK_THROWS_WITH_AS(accuracy_of(output, target), doctest::Contains("accuracy: index "), Error);
  }
}

TEST_CASE("mixed accuracy: lambda for the one class and 1 - lambda for the other, plain accuracy otherwise") {
  const Tensor output = one_hot(Tensor::from<std::int32_t>({0, 1, 2, 1}, {4}), 3);
  const Tensor y = Tensor::from<std::int32_t>({0, 0, 0, 1}, {4}),
               partner = Tensor::from<std::int32_t>({1, 1, 1, 1}, {4});
  const Tensor lambda = Tensor::from({0.75f, 0.625f, 0.75f, 0.5f}, {4});
  // the first class; the second; neither; both
  CHECK(mixed_accuracy_of(output, MixedTarget{y, partner, lambda}).item() == (0.75 + 0.375 + 0 + 1) / 4);
  CHECK(mixed_accuracy_of(output, MixedTarget{one_hot(y, 3), one_hot(partner, 3), lambda}).item() ==
        (0.75 + 0.375 + 0 + 1) / 4);
  CHECK(mixed_accuracy_of(output, y).item() == accuracy_of(output, y).item());
  CHECK(mixed_accuracy_of(output, one_hot(y, 3)).item() == accuracy_of(output, y).item());
  // The mixture of one-hot targets, as mixup gives it without stack_y, counts as what it was mixed from.
  const Tensor weight = reshape(lambda, {4, 1}), mixture = one_hot(y, 3) * weight + one_hot(partner, 3) * (1 - weight);
  CHECK(mixed_accuracy_of(output, mixture).item() == mixed_accuracy_of(output, MixedTarget{y, partner, lambda}).item());
  CHECK(mixed_accuracy.name != "accuracy");
  CHECK_THROWS_AS(mixed_accuracy_of(output, MixedTarget{y, partner, Tensor::ones({3})}), Error);
}

TEST_CASE("loss floor: the entropy of the targets, 0 where a pair has one label or a batch is not mixed") {
  const Tensor output = Tensor::zeros({3, 2});
  const Tensor y = Tensor::from<std::int32_t>({0, 0, 1}, {3}), partner = Tensor::from<std::int32_t>({1, 0, 0}, {3});
  const Tensor lambda = Tensor::from({0.75f, 0.6f, 1.0f}, {3});
  const double entropy = -0.75 * std::log(0.75) - 0.25 * std::log(0.25);
  CHECK(loss_floor_of(output, MixedTarget{y, partner, lambda}).item() == doctest::Approx(entropy / 3));
  CHECK(loss_floor_of(output, MixedTarget{one_hot(y, 2), one_hot(partner, 2), lambda}).item() ==
        doctest::Approx(entropy / 3));
  CHECK(loss_floor_of(output, Tensor::from<float>({0.75f, 0.25f, 1, 0, 0, 1}, {3, 2})).item() ==
        doctest::Approx(entropy / 3));
  CHECK(loss_floor_of(output, y).item() == 0);
  // No model is below it: a loss at the targets themselves is the floor.
  const Tensor target = Tensor::from({0.75, 0.25, 0.5, 0.5, 0.1, 0.9}, {3, 2});
  CHECK(loss_floor_of(target, target).item() == doctest::Approx(nn::cross_entropy(log(target), target).item()));
  CHECK_THROWS_AS(loss_floor_of(output, MixedTarget{y, partner, Tensor::ones({2})}), Error);
  CHECK_THROWS_AS(loss_floor_of(output, Tensor::from<std::int32_t>({0, 1, 2}, {3})), Error);
}

TEST_CASE("nll, brier, confidence: means over samples of what softmax gives") {
  const Tensor p = Tensor::from({0.7, 0.2, 0.1, 0.25, 0.25, 0.5}, {2, 3}), output = log(p) + 3.0;
  const Tensor y = Tensor::from<std::int32_t>({0, 1}, {2});
  CHECK(nll_of(output, y).item() == doctest::Approx((-std::log(0.7) - std::log(0.25)) / 2));
  CHECK(brier_of(output, y).item() == doctest::Approx((0.09 + 0.04 + 0.01 + 0.0625 + 0.5625 + 0.25) / 2));
  CHECK(confidence_of(output, y).item() == doctest::Approx((0.7 + 0.5) / 2));
  CHECK(nll_of(output, one_hot(y, 3)).item() == nll_of(output, y).item());
  for (const Metric& metric : {nll, brier, confidence}) {
    CHECK(metric.mean(Tensor::zeros({0, 3}), Tensor::zeros({0}, {.dtype = DType::i32})).item() == 0);
    CHECK_THROWS_AS(metric.mean(Tensor::zeros({3}), y), Error);
  }
}

TEST_CASE("calibration: in each bin confidence against accuracy, and their distance weighed by samples") {
  // Confidences .6 .6 .9 .9 .9, of which one and two are right.
  const Tensor p = Tensor::from({0.6, 0.4, 0.4, 0.6, 0.9, 0.1, 0.9, 0.1, 0.1, 0.9}, {5, 2});
  const Tensor y = Tensor::from<std::int32_t>({0, 0, 0, 1, 1}, {5});
  const Calibration result = calibration(log(p), y, 4);
  REQUIRE(result.bins.size() == 4);
  CHECK(result.bins[0].samples == 0);
  CHECK(result.bins[1].samples == 0);
  CHECK(result.bins[2].samples == 2);
  CHECK(result.bins[2].confidence == doctest::Approx(0.6));
  CHECK(result.bins[2].accuracy == doctest::Approx(0.5));
  CHECK(result.bins[3].samples == 3);
  CHECK(result.bins[3].accuracy == doctest::Approx(2.0 / 3));
  CHECK(result.error == doctest::Approx(2 / 5.0 * 0.1 + 3 / 5.0 * (0.9 - 2.0 / 3)));
  CHECK(result.confidence == doctest::Approx(0.78));
  CHECK(result.accuracy == doctest::Approx(0.6));
  std::ostringstream text;
  print_calibration(text, result);
  CHECK(text.str() ==
        "confidence    samples     mean  accuracy\n"
        "0.50 to 0.75        2   0.6000    0.5000\n"
        "0.75 to 1.00        3   0.9000    0.6667\n"
        "expected calibration error 0.1800, confidence 0.7800, accuracy 0.6000\n");
  // The upper edge belongs to a bin; certainty to the last.
  const Tensor sure = Tensor::from<double>({0.0, -INFINITY, 0.0, 0.0}, {2, 2});
  const Calibration edges = calibration(sure, Tensor::from<std::int32_t>({0, 0}, {2}), 2);
  CHECK(edges.bins[0].samples == 1);
  CHECK(edges.bins[1].samples == 1);
  CHECK(edges.error == doctest::Approx(0.25));
  CHECK(calibration(Tensor::zeros({0, 2}), Tensor::zeros({0}, {.dtype = DType::i32})).error == 0);
  CHECK_THROWS_AS(calibration(sure, y, 0), Error);
  CHECK_THROWS_WITH_AS(calibration(Tensor::full({1, 2}, NAN), Tensor::zeros({1}, {.dtype = DType::i32})),
                       doctest::Contains("sample 0 is nan"), Error);
}
