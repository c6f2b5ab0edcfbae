// What the READMEs of the folders show and no other file has; tests/test_library.sh compares.
#include <doctest/doctest.h>
#include <mixgrad.h>

#include <cmath>
#include <iostream>
#include <sstream>

using namespace mixgrad;

namespace {

// y = x / sqrt(mean(x^2) + eps) * weight over the last axis (Zhang and Sennrich, 2019)
struct RMSNorm : nn::Module {
  explicit RMSNorm(std::int64_t channels) : weight(nn::parameter(Tensor::ones({channels}))) {}
  using Module::forward;  // the form for several inputs
  Tensor forward(const Tensor& x) override { return x / sqrt(mean(x * x, -1, {.keepdim = true}) + 1e-6) * weight; }
  void visit(nn::Visitor& visitor) override { visitor.parameter("weight", weight); }
  std::string name() const override { return "RMSNorm"; }
  Tensor weight;
};

}  // namespace

TEST_CASE("nn/README.md: the layer divides by the root mean square, and its gradient follows") {
  RMSNorm layer(2);
  const Tensor y = layer.forward(Tensor::from({3.0f, 4.0f}, {1, 2}));  // the root mean square is sqrt(12.5)
  CHECK(y.to_vector<float>()[0] == doctest::Approx(3 / std::sqrt(12.5)));
  CHECK(y.to_vector<float>()[1] == doctest::Approx(4 / std::sqrt(12.5)));
  CHECK(nn::parameters(layer).size() == 1);
  const auto f = [](const std::vector<Tensor>& inputs) {
    RMSNorm norm(3);
    norm.weight = inputs[1];
    return norm.forward(inputs[0]);
  };
  const Tensor x = Tensor::from({0.3, -1.2, 0.8, 2.0, 0.1, -0.7}, {2, 3});
  CHECK(gradcheck(f, {x, Tensor::from({1.0, 0.5, -2.0}, {3})}) == "");
}

TEST_CASE("augment/README.md: the plan printed is the one shown") {
  std::ostringstream text;
  std::streambuf* const standard = std::cout.rdbuf(text.rdbuf());
  mixgrad::Random random(42, mixgrad::Purpose::mixup);
  std::cout << mixgrad::augment::draw_mix_plan(3, {.alpha = 0.4}, random);
  std::cout.rdbuf(standard);
  CHECK(text.str() ==
        "0 <- 0.872907758 * 0 + 0.127092242 * 2\n"
        "1 <- 0.530519307 * 1 + 0.469480693 * 1\n"
        "2 <- 0.771480739 * 2 + 0.228519261 * 0\n\n");
}

TEST_CASE("train/README.md: the callback stops training when the loss is above its limit") {
  auto digits = data::synthetic_digits(32, 1, data::Split::train);
  const auto dataset = std::make_shared<data::ImageDataset>(
      digits, std::vector<std::string>{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}, data::ImageDatasetOptions{});
  const data::DataLoader loader(dataset, {.batch_size = 16});
  for (const double scale : {1.0, 1000.0}) {
    CAPTURE(scale);
    nn::Loss scaled = nn::cross_entropy;
    scaled.per_sample = [=](const Tensor& output, const Tensor& target) {
      return scale * nn::cross_entropy.per_sample(output, target);
    };
    train::Learner learn({loader, loader}, nn::simple_cnn({3, 4, 4, 10}), {.loss = scaled, .verbose = false});
    struct LossLimit : train::Callback {
      void on_batch_end(train::Learner& learner) override {
        if (learner.loss.item() > 100) learner.stop();
      }
    };
    learn.add(std::make_shared<LossLimit>());
    learn.fit(1);
    CHECK(learn.batch == (scale == 1.0 ? 2 : 0));
  }
}
