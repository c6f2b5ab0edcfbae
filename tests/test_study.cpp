// mixup_study's data, arms and measures; what it prints and keeps is tested by test_mixup_study.sh.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>

#include "apps/study/study.h"

using namespace mixgrad;
using apps::Experiment, apps::Measures, apps::StudyData, apps::StudySources;

namespace {

// Images that tell their index (in the first two pixels) and label (in the third).
data::LabelledImages telling_images(std::int64_t count) {
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * 28 * 28);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i) * 28 * 28;
    pixels[at] = static_cast<std::uint8_t>(i % 256);
    pixels[at + 1] = static_cast<std::uint8_t>(i / 256);
    pixels[at + 2] = static_cast<std::uint8_t>(i * 7 % 10);
    labels.push_back(static_cast<std::int32_t>(i * 7 % 10));
  }
  return {Tensor::from(pixels, {count, 28, 28, 1}), Tensor::from(labels, {count}), 3};
}
const StudySources& telling_sources() {
  static const StudySources sources{{telling_images(400), telling_images(100)}, {}};
  return sources;
}

struct Told {
  std::vector<int> indices;
  double wrong = 0;
};
Told told_by(const StudyData& data, std::uint64_t seed) {
  const data::DataLoaders loaders = apps::study_loaders(data, telling_sources(), seed);
  std::vector<std::int32_t> all(static_cast<std::size_t>(loaders.train.dataset().size()));
  std::iota(all.begin(), all.end(), 0);
  const data::Batch batch = loaders.train.dataset().get(all);
  const auto x = batch.x.to_vector<float>();
  const auto y = batch.y.to_vector<std::int32_t>();
  Told told;
  for (std::size_t i = 0; i < y.size(); ++i) {
    const auto pixel = [&](std::size_t p) { return static_cast<int>(std::lround(x[(i * 28 * 28 + p) * 3] * 255)); };
    told.indices.push_back(pixel(0) + 256 * pixel(1));
    CHECK(y[i] >= 0);
    CHECK(y[i] < 10);
    told.wrong += y[i] == pixel(2) ? 0 : 1;
  }
  return told;
}

const std::vector<int> all_digits{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};

// Says class 1 where the mean of an image is above a half; or always the same, by a bias.
class MeanModel : public nn::Module {
 public:
  explicit MeanModel(double steepness, std::vector<float> bias) : steepness_(steepness), bias_(std::move(bias)) {}
  Tensor forward(const Tensor& x) override {
    const Tensor above = reshape(mean(x, {1, 2, 3}), {-1, 1}) - 0.5;
    return steepness_ * above * one_hot(Tensor::from({1}, {1}), std::ssize(bias_)) +
           Tensor::from(bias_, {1, std::ssize(bias_)}) + 0 * weight_;
  }
  void visit(nn::Visitor& visitor) override { visitor.parameter("weight", weight_); }
  std::string name() const override { return "MeanModel"; }

 private:
  double steepness_;
  std::vector<float> bias_;
  Tensor weight_ = Tensor::zeros({1}).requires_grad_();
};

// What is measured of a model on grey images, the even ones of this brightness and class 0, the odd ones of another.
Measures measured(const Experiment& experiment, const MeanModel& model, double even, double odd) {
  std::vector<std::uint8_t> pixels;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 40; ++i) {
    pixels.insert(pixels.end(), 64, static_cast<std::uint8_t>(std::lround(255 * (i % 2 ? odd : even))));
    labels.push_back(i % 2);
  }
  const data::LabelledImages images{Tensor::from(pixels, {40, 8, 8, 1}), Tensor::from(labels, {40}), 1};
  const auto dataset = std::make_shared<data::ImageDataset>(images, std::vector<std::string>{"0", "1"});
  const data::DataLoader loader(dataset, {.batch_size = 16});
  train::Learner learn({loader, loader}, model, {.verbose = false});
  Measures measures;
  apps::measure(experiment, learn, loader, measures);
  return measures;
}

}  // namespace

TEST_CASE("study: samples are drawn by the seed, none twice, and exactly the wanted share has a wrong label") {
  const Told told = told_by({.digits = all_digits, .samples = 200, .wrong_labels = 0.35}, 0);
  CHECK(told.indices.size() == 200);
  CHECK(std::set(told.indices.begin(), told.indices.end()).size() == 200);
  CHECK(told.wrong == 70);
  CHECK(told_by({.digits = all_digits, .samples = 200, .wrong_labels = 0.35}, 0).indices == told.indices);
  CHECK(told_by({.digits = all_digits, .samples = 200, .wrong_labels = 0.35}, 1).indices != told.indices);
  const Told everything = told_by({.digits = all_digits}, 0);
  CHECK(everything.indices.size() == 400);
  CHECK(everything.wrong == 0);
}

TEST_CASE("study: the FGSM step moves each pixel by 0.1 against the label") {
  const Experiment experiment{.key = "attack", .question = "", .arms = {}, .measures = {"fgsm_accuracy"}};
  const MeanModel model(10, {0, 0});
  CHECK(measured(experiment, model, 0.45, 0.55).at("fgsm_accuracy") == 0);  // to .55 and .45
  CHECK(measured(experiment, model, 0.35, 0.65).at("fgsm_accuracy") == 1);  // to .45 and .55
  CHECK(measured(experiment, model, 0.35, 0.55).at("fgsm_accuracy") == 0.5);
}

TEST_CASE("study: between two samples, what is constant is linear, and a third class is a miss") {
  const Experiment experiment{.key = "between", .question = "", .arms = {}, .measures = {"nonlinearity"}};
  const Measures constant = measured(experiment, MeanModel(0, {0, 0, 5}), 0.2, 0.8);
  CHECK(constant.at("misses_half") == 1);
  CHECK(constant.at("gradient_half") == 0);
  CHECK(constant.at("nonlinearity") == doctest::Approx(0).epsilon(1e-6));
  CHECK(constant.at("between@0.3") == doctest::Approx(1 / (2 + std::exp(5))));
  // A step: the first of a pair is as often the dark one as the bright one; half-way both are as likely.
  const Measures step = measured(experiment, MeanModel(1000, {0, 0}), 0.2, 0.8);
  CHECK(step.at("misses_half") == 0);
  CHECK(step.at("between@1") == doctest::Approx(1));
  CHECK(step.at("between@0.5") == doctest::Approx(0.5).epsilon(0.05));
  CHECK(step.at("between@0") == doctest::Approx(0));
  // At .1, .2, .3 and .4 the prediction is a whole .1 to .4 from the line, above one half as much; at .5 it is on it.
  CHECK(step.at("nonlinearity") == doctest::Approx(2 * (0.1 + 0.2 + 0.3 + 0.4) / 11).epsilon(0.02));
}

TEST_CASE("study: confidence and accuracy stand in the histogram's bins") {
  const Experiment experiment{.key = "bins", .question = "", .arms = {}, .measures = {}};
  const Measures measures = measured(experiment, MeanModel(0, {0, static_cast<float>(std::log(3.0))}), 0.2, 0.8);
  CHECK(measures.at("confidence") == doctest::Approx(0.75));
  CHECK(measures.at("histogram@0.75") == 1);
  CHECK(measures.at("reliability@0.75") == 0.5);  // always class 1, which half of them are
  CHECK_FALSE(measures.contains("reliability@0.85"));
  CHECK(measures.at("calibration_error") == doctest::Approx(0.25));
  CHECK(measures.at("entropy") == doctest::Approx(-0.75 * std::log(0.75) - 0.25 * std::log(0.25)));
}

TEST_CASE("study: of the directions, one mixes inputs and keeps the labels, the other the other way round") {
  class Look : public train::StepCallback {
   public:
    void on_batch_begin(train::Learner& learn) override {
      const bool clean = std::holds_alternative<Tensor>(learn.input) && [&] {
        const auto samples = learn.data.train.epoch(learn.pass)[learn.batch];
        return samples.x.to_vector<float>() == learn.x().to_vector<float>();
      }();
      inputs += clean ? 0 : 1;
      labels += std::holds_alternative<augment::MixedTarget>(learn.target) ? 1 : 0;
      batches += 1;
    }
    train::StepWork step_work() const override { return train::StepWork::varies; }
    int inputs = 0, labels = 0, batches = 0;
  };
  const std::vector<Experiment> all = apps::study_experiments(true);
  const auto directions = std::ranges::find(all, "directions", &Experiment::key);
  REQUIRE(directions != all.end());
  const auto seen = [&](const char* key) {
    const auto arm = std::ranges::find(directions->arms, key, &apps::StudyArm::key);
    REQUIRE(arm != directions->arms.end());
    StudyData data = directions->data;
    data.samples = 64;
    train::Learner learn(apps::study_loaders(data, telling_sources(), 1), nn::lenet(3, 10),
                         {.seed = 1, .verbose = false});
    arm->prepare(learn);
    const auto look = std::make_shared<Look>();
    learn.add(look).fit(1);
    CHECK(look->batches == 4);
    return std::pair{look->inputs, look->labels};
  };
  CHECK(seen("plain") == std::pair{0, 0});
  CHECK(seen("mixup-0.4") == std::pair{4, 4});
  CHECK(seen("inputs-only") == std::pair{4, 0});
  CHECK(seen("labels-only") == std::pair{0, 4});
}

TEST_CASE("study: twins are as many as computed, and max(t, 1 - t) leaves few of them") {
  const std::vector<Experiment> facts = apps::study_facts();
  const auto twins = std::ranges::find(facts, "twins", &Experiment::key);
  REQUIRE(twins != facts.end());
  double counted[2] = {}, computed[2] = {};
  for (std::size_t arm = 0; arm < 2; ++arm)
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const Measures measures = twins->arms[arm].compute({}, seed);
      counted[arm] += measures.at("twins") / 5;
      computed[arm] = measures.at("twins_computed");
    }
  for (int arm = 0; arm < 2; ++arm)  // of a Poisson distribution's mean of five, four deviations
    CHECK(counted[arm] == doctest::Approx(computed[arm]).epsilon(4 / std::sqrt(5 * computed[arm])));
  CHECK(computed[1] < computed[0] / 10);
}
