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
data::LabelledImages telling_images(std::int64_t count, std::int64_t side = 28, std::int64_t channels = 1) {
  const auto size = static_cast<std::size_t>(side * side * channels);
  std::vector<std::uint8_t> pixels(static_cast<std::size_t>(count) * size);
  std::vector<std::int32_t> labels;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<std::size_t>(i) * size;
    pixels[at] = static_cast<std::uint8_t>(i % 256);
    pixels[at + 1] = static_cast<std::uint8_t>(i / 256);
    pixels[at + 2] = static_cast<std::uint8_t>(i * 7 % 10);
    labels.push_back(static_cast<std::int32_t>(i * 7 % 10));
  }
  return {Tensor::from(pixels, {count, side, side, channels}), Tensor::from(labels, {count}), 3};
}
const StudySources& telling_sources() {
  static const StudySources sources{{telling_images(400), telling_images(100)},
                                    apps::StudyImages{telling_images(100, 32, 3), telling_images(2500, 32, 3)}};
  return sources;
}

struct Told {
  std::vector<int> indices;
  std::set<int> errors;  // how far off the wrong labels are
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
    told.errors.insert((y[i] - pixel(2) + 10) % 10);
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

std::pair<const Experiment*, const apps::StudyArm*> arm_in(const std::vector<Experiment>& all, const std::string& key,
                                                           const std::string& arm_key) {
  const auto experiment = std::ranges::find(all, key, &Experiment::key);
  REQUIRE(experiment != all.end());
  const auto arm = std::ranges::find(experiment->arms, arm_key, &apps::StudyArm::key);
  REQUIRE(arm != experiment->arms.end());
  return {&*experiment, &*arm};
}

class KeepRecords : public train::Callback {
 public:
  void on_batch_plan(train::Learner& learn, train::BatchPlan& plan) override {
    if (!plan.mix) return;
    const auto epoch = static_cast<std::size_t>(learn.epoch);
    lambda.resize(std::max(lambda.size(), epoch + 1));
    lambda[epoch].push_back(plan.mix->plan.lambda);
  }
  void on_train_end(train::Learner& learn) noexcept override { epochs = learn.recorder->epochs(); }
  std::vector<std::vector<std::vector<float>>> lambda;  // of each epoch's batches
  std::vector<train::EpochRecord> epochs;
};

}  // namespace

TEST_CASE("study: samples are drawn by the seed, none twice, and exactly the wanted share has a wrong label") {
  const Told told = told_by({.digits = all_digits, .samples = 200, .wrong_labels = 0.35}, 0);
  CHECK(told.indices.size() == 200);
  CHECK(std::set(told.indices.begin(), told.indices.end()).size() == 200);
  CHECK(told.wrong == 70);
  CHECK(told.errors.size() == 10);  // none, and each of the nine others
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
  const Experiment experiment{.key = "bins", .question = "", .arms = {}, .measures = {}, .measured = {"histogram"}};
  const Measures measures = measured(experiment, MeanModel(0, {0, static_cast<float>(std::log(3.0))}), 0.2, 0.8);
  CHECK(measures.at("confidence") == doctest::Approx(0.75));
  CHECK(measures.at("histogram@0.75") == 1);
  CHECK(measures.at("bin_confidence@0.75") == doctest::Approx(0.75));
  CHECK(measures.at("bin_accuracy@0.75") == 0.5);  // always class 1, which half of them are
  CHECK(measures.at("histogram@0.85") == 0);
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
  const auto seen = [&](const char* key) {
    const auto [directions, arm] = arm_in(all, "directions", key);
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
      const Measures measures = twins->arms[arm].compute({}, seed).measures;
      counted[arm] += measures.at("twins") / 5;
      computed[arm] = measures.at("twins_computed");
    }
  for (int arm = 0; arm < 2; ++arm)  // of a Poisson distribution's mean of five, four deviations
    CHECK(counted[arm] == doctest::Approx(computed[arm]).epsilon(4 / std::sqrt(5 * computed[arm])));
  CHECK(computed[1] < computed[0] / 10);
}

TEST_CASE("study: a run's measures are those of the first and the last epoch, and of all validation samples") {
  Experiment experiment{.key = "run",
                        .question = "",
                        .data = {.digits = {}, .samples = 96, .epochs = 3},
                        .arms = {{.key = "mixup", .name = "", .prepare = [](train::Learner& learn) { learn.mixup(); }}},
                        .measures = {"accuracy"},
                        .measured = {"loss_floor", "histogram"}};
  const auto kept = std::make_shared<KeepRecords>();
  const auto run = apps::run_study(experiment, experiment.arms[0], 4, telling_sources(), kept);
  REQUIRE(run);
  REQUIRE(kept->epochs.size() == 3);
  const Measures& measures = run->measures;
  CHECK(measures.at("first_loss") == kept->epochs[0].train_loss);
  CHECK(measures.at("first_valid_loss") == kept->epochs[0].valid_loss);
  CHECK(measures.at("first_accuracy") == kept->epochs[0].metrics[0]);
  CHECK(measures.at("train_loss") == kept->epochs[2].train_loss);
  CHECK(measures.at("loss_floor") == kept->epochs[2].train_metrics[0]);
  CHECK(measures.at("above_floor") == kept->epochs[2].train_loss - kept->epochs[2].train_metrics[0]);
  CHECK(measures.at("loss_floor") > 0.1);
  const auto best = std::ranges::max(kept->epochs, {}, [](const auto& epoch) { return epoch.metrics[0]; });
  CHECK(measures.at("best_accuracy") == best.metrics[0]);
  double images = 0;
  for (const auto& [name, value] : measures) images += name.starts_with("histogram@") ? value : 0;
  CHECK(images == doctest::Approx(1));
  // After each epoch 2,000 of the 2,500 images are looked at, at the end all.
  const double of_2500 = measures.at("accuracy") * 2500, of_2000 = kept->epochs[2].metrics[0] * 2000;
  CHECK(of_2500 == doctest::Approx(std::round(of_2500)));
  CHECK(of_2000 == doctest::Approx(std::round(of_2000)));
  CHECK(of_2500 != doctest::Approx(of_2000));
}

TEST_CASE("study: each arm trains with the option that it is named after") {
  const std::vector<Experiment> all = apps::study_experiments(true);
  const auto drawn = [&](const std::string& key, const std::string& arm_key, int epochs = 1) {
    const auto [experiment, arm] = arm_in(all, key, arm_key);
    Experiment short_one = *experiment;
    short_one.data.digits = all_digits;
    short_one.data.samples = 320;
    short_one.data.epochs = epochs;
    const auto kept = std::make_shared<KeepRecords>();
    REQUIRE(apps::run_study(short_one, *arm, 1, telling_sources(), kept));
    return kept->lambda;
  };
  const auto all_of = [](const std::vector<std::vector<float>>& batches) {
    std::vector<float> values;
    for (const auto& batch : batches) values.insert(values.end(), batch.begin(), batch.end());
    return values;
  };
  const auto share_of = [](const std::vector<float>& values, auto holds) {
    return static_cast<double>(std::ranges::count_if(values, holds)) / static_cast<double>(values.size());
  };
  const auto of_batches = drawn("lambda-per", "per-batch");
  for (const std::vector<float>& batch : of_batches[0]) CHECK(std::ranges::count(batch, batch[0]) == 16);
  CHECK(std::ranges::min(all_of(drawn("lambda-per", "mixup-0.4")[0])) >= 0.5f);
  CHECK(share_of(all_of(drawn("dedupe", "no-dedupe")[0]), [](float l) { return l < 0.5f; }) ==
        doctest::Approx(0.5).epsilon(0.2));
  CHECK(share_of(all_of(drawn("relatives", "half")[0]), [](float l) { return l == 1; }) ==
        doctest::Approx(0.5).epsilon(0.2));
  CHECK(drawn("relatives", "off", 16).size() == 15);  // nothing in the sixteenth epoch
  // E[max(t, 1 - t)] falls towards one half as alpha grows (Beta(8, 8): .599; Beta(32, 32): .550).
  const auto mean_of = [&](const std::string& arm) {
    const std::vector<float> values = all_of(drawn("wrong-labels-50", arm)[0]);
    return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
  };
  CHECK(mean_of("mixup-0.4") == doctest::Approx(0.840).epsilon(0.03));
  CHECK(mean_of("mixup-8") == doctest::Approx(0.599).epsilon(0.03));
  CHECK(mean_of("mixup-32") == doctest::Approx(0.550).epsilon(0.03));
  CHECK(drawn("wrong-labels-50", "dropout").empty());
}

TEST_CASE("study: with dropout the network is LeNet in evaluation, and another in training") {
  const std::vector<Experiment> all = apps::study_experiments(true);
  const auto [experiment, arm] = arm_in(all, "wrong-labels-20", "dropout");
  REQUIRE(arm->model);
  manual_seed(3);
  nn::Sequential with = arm->model();
  manual_seed(3);
  nn::Sequential lenet = nn::lenet(3, 10);
  const Tensor x = Tensor::full({2, 28, 28, 3}, 0.5);
  CHECK_FALSE(with(x).to_vector<float>() == lenet(x).to_vector<float>());
  const nn::EvalMode eval_with(with), eval_lenet(lenet);
  CHECK(with(x).to_vector<float>() == lenet(x).to_vector<float>());
}
