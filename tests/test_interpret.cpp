// What looks into a trained model: confusion matrix, top losses, batches as text.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <sstream>

#include "mixgrad.h"
#include "tests/not_finite.h"
#include "tests/points.h"

using namespace mixgrad;
using namespace mixgrad::train;
using namespace mixgrad::test;

namespace {

// Gives its input back: whatever the data say is the output.
struct Identity : nn::Module {
  Tensor unused = nn::parameter(Tensor::zeros({1}));
  Tensor forward(const Tensor& x) override { return x + unused * 0.0; }
  void visit(nn::Visitor& visitor) override { visitor.parameter("unused", unused); }
  std::string name() const override { return "Identity"; }
};

}  // namespace

TEST_CASE("confusion matrix: rows are true classes, columns predicted ones, and mistakes come by count") {
  // The outputs are the data: one-hot rows of the predicted classes.
  const std::vector<std::int32_t> actual{0, 0, 0, 1, 1, 2, 2, 2, 2}, predicted{0, 1, 1, 1, 0, 0, 0, 0, 2};
  const Tensor x = one_hot(Tensor::from(predicted, {9}), 3), y = Tensor::from(actual, {9});
  Learner learn(loaders(x, y, 2, {"cat", "dog", "a long name"}), Identity(), with_sgd());
  const Tensor matrix = confusion_matrix(learn);
  CHECK(matrix.to_vector<std::int32_t>() == std::vector<std::int32_t>{1, 2, 0, 1, 1, 0, 3, 0, 1});
  CHECK(most_confused(matrix) == std::vector<Confusion>{{2, 0, 3}, {0, 1, 2}, {1, 0, 1}});
  CHECK(most_confused(matrix, 2) == std::vector<Confusion>{{2, 0, 3}, {0, 1, 2}});
  std::ostringstream text;
  print_confusion_matrix(text, matrix, learn.data.classes());
  CHECK(text.str() ==
        "true \\ predicted          cat          dog  a long name\n"
        "cat                         1            2            0\n"
        "dog                         1            1            0\n"
        "a long name                 3            0            1\n");
  std::ostringstream numbered;
  print_confusion_matrix(numbered, matrix, {});
  CHECK(numbered.str().starts_with("true \\ predicted  0  1  2\n"));
  CHECK_THROWS_WITH_AS(most_confused(x), doctest::Contains("must be i32 [C, C]"), Error);
}

TEST_CASE("class scores: precision, recall and F1 of each class, and 0 where there is nothing to count") {
  const Tensor matrix = Tensor::from<std::int32_t>({3, 1, 0, 2, 4, 0, 0, 0, 0}, {3, 3});
  const std::vector<ClassScores> scores = class_scores(matrix);
  REQUIRE(scores.size() == 3);
  CHECK(scores[0].precision == doctest::Approx(3.0 / 5));
  CHECK(scores[0].recall == doctest::Approx(3.0 / 4));
  CHECK(scores[0].f1 == doctest::Approx(2 * 0.6 * 0.75 / 1.35));
  CHECK(scores[0].samples == 4);
  CHECK(scores[1].precision == doctest::Approx(4.0 / 5));
  CHECK(scores[1].recall == doctest::Approx(4.0 / 6));
  CHECK(scores[2].precision == 0);
  CHECK(scores[2].recall == 0);
  CHECK(scores[2].f1 == 0);
  std::ostringstream text;
  print_class_scores(text, matrix, {"cat", "a long name", "dog"});
  CHECK(text.str() ==
        "class        precision   recall       f1  samples\n"
        "cat             0.6000   0.7500   0.6667        4\n"
        "a long name     0.8000   0.6667   0.7273        6\n"
        "dog             0.0000   0.0000   0.0000        0\n"
        "mean            0.4667   0.4722   0.4646       10\n");
  CHECK_THROWS_AS(class_scores(Tensor::zeros({2, 2})), Error);
}

TEST_CASE("calibration of a learner: over its validation data") {
  const Tensor x = log(Tensor::from({0.8f, 0.2f, 0.3f, 0.7f, 0.6f, 0.4f}, {3, 2}));
  Learner learn(loaders(x, Tensor::from<std::int32_t>({0, 0, 0}, {3}), 2), Identity(), with_sgd());
  const Calibration result = calibration(learn);
  CHECK(result.accuracy == doctest::Approx(2.0 / 3));
  CHECK(result.confidence == doctest::Approx(0.7));
  CHECK(result.error == doctest::Approx((0.2 + 0.7 + 0.4) / 3));
}

TEST_CASE("top losses: the largest first, by their place in the data even when validation shuffles; nan above all") {
  const Tensor x = Tensor::from({3.f, 0.f, 0.f, 1.f, 0.f, 5.f, not_a_number<float>, 0.f, 2.f, 0.f}, {5, 2});
  const Tensor y = Tensor::from<std::int32_t>({0, 0, 0, 1, 1}, {5});
  const auto samples = std::make_shared<data::TensorDataset>(x, y, std::vector<std::string>{"left", "right"});
  const data::DataLoader shuffled(samples, {.batch_size = 2, .shuffle = true, .drop_last = true, .seed = 9});
  Learner learn({shuffled, shuffled}, Identity(), with_sgd());
  const auto top = top_losses(learn, 4);
  REQUIRE(top.size() == 4);
  CHECK(top[0].index == 3);
  CHECK(std::isnan(top[0].loss));
  const std::array<std::int64_t, 3> order{2, 4, 1};
  for (std::size_t i = 0; i < 3; ++i) CHECK(top[i + 1].index == order[i]);
  CHECK(top[1].loss == doctest::Approx(5 + std::log1p(std::exp(-5.0))).epsilon(1e-6));  // rounding to f32
  CHECK(top[1].target == 0);
  CHECK(top[1].predicted == 1);
  CHECK(top[1].probability == doctest::Approx(1 / (1 + std::exp(-5.0))).epsilon(1e-6));
  CHECK(top_losses(learn, 99).size() == 5);
  CHECK(top_losses(learn, 0).empty());
  CHECK_THROWS_AS(top_losses(learn, -1), Error);
}

TEST_CASE("show_batch: images side by side, dark to bright, with their classes below") {
  std::vector<float> pixels;
  for (int image = 0; image < 4; ++image)
    for (int row = 0; row < 4; ++row)
      for (int column = 0; column < 4; ++column)
        pixels.push_back(column < 2 ? 0.f : image == 3 ? not_a_number<float> : 1.f);
  const data::Batch batch{Tensor::from(pixels, {4, 4, 4, 1}), Tensor::from<std::int32_t>({0, 1, 0, 1}, {4})};
  std::ostringstream text;
  show_batch(text, batch, {"left", "a name far too long for its column"}, 9);
  const std::string space(24, ' ');
  CHECK(text.str() == "  @@" + space.substr(2) + "  @@" + space.substr(2) + "  @@\n" +  //
                          "  @@" + space.substr(2) + "  @@" + space.substr(2) + "  @@\n" + "left" + space.substr(2) +
                          "a name far too long for   left\n\n" +  //
                          "\n\na name far too long for\n\n");
}

TEST_CASE("show_batch: a pixel of several channels is as bright as their mean") {
  const auto x = Tensor::from({0.f, 0.f, 0.f, 1.f, 1.f, 1.f, 0.f, 1.f, 0.5f, 0.f, 0.f, 0.f}, {1, 1, 4, 3});
  std::ostringstream text;
  show_batch(text, {x, Tensor::from<std::int32_t>({0}, {1})}, {"left"}, 1);
  CHECK(text.str() == " @+\nleft\n\n");
}

TEST_CASE("show_batch: any size of image stays within 80 columns and 24 lines, and what is no image is refused") {
  const auto shown = [](const Shape& shape, std::int64_t n = 9) {
    std::ostringstream text;
    show_batch(text, {Tensor::full(shape, 0.5), Tensor::zeros({shape[0]}, {.dtype = DType::i32})}, {}, n);
    return text.str();
  };
  for (const Shape& shape : {Shape{3, 1, 1, 1}, Shape{5, 300, 2, 3}, Shape{4, 2, 300, 3}, Shape{3, 224, 224, 3}}) {
    std::istringstream lines(shown(shape));
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) CHECK(line.size() <= 80);
    CHECK(count <= 2 * (24 + 2));
    CHECK(count >= 3);
  }
  CHECK(shown({2, 4, 4, 1}, 0).empty());
  CHECK_THROWS_AS(shown({2, 4, 4, 1}, -1), Error);
  CHECK_THROWS_AS(shown({2, 4, 4}), Error);
  CHECK_THROWS_AS(shown({2, 0, 4, 1}), Error);
}

TEST_CASE("show_top_losses: the worst image first, with what it was taken for") {
  // Images of 1 x 2 pixels that are their own logits.
  struct Pixels : Identity {
    Tensor forward(const Tensor& x) override { return Identity::forward(flatten(x)); }
  };
  const Tensor x = Tensor::from({1.f, 0.f, 0.f, 1.f}, {2, 1, 2, 1}), y = Tensor::from<std::int32_t>({0, 0}, {2});
  Learner learn(loaders(x, y), Pixels(), with_sgd());
  std::ostringstream text;
  show_top_losses(text, learn, 1);
  CHECK(text.str() == " @\nleft as right (0.731)\nloss 1.313  #1\n\n");
}
