// Schedules, one cycle, and the finder of learning rates.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "mixgrad.h"
#include "tests/small_network.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using test::digits;
using test::quiet;
using test::small_network;
using test::Training;
using test::weights;

TEST_CASE("schedules: their formulas at the ends and between") {
  CHECK(constant(0.1)(0.7) == 0.1);
  CHECK(cosine(1, 0)(0) == 1);
  CHECK(cosine(1, 0)(0.5) == doctest::Approx(0.5));
  CHECK(cosine(1, 0)(1) == doctest::Approx(0));
  const Schedule steps = step(1, 0.1, {0.5, 0.75});
  CHECK(steps(0.49) == 1);
  CHECK(steps(0.5) == doctest::Approx(0.1));
  CHECK(steps(0.9) == doctest::Approx(0.01));
  const Schedule lr = one_cycle_lr(1), momentum = one_cycle_momentum();
  CHECK(lr(0) == doctest::Approx(0.04));
  CHECK(lr(0.3) == doctest::Approx(1));
  CHECK(lr(0.65) == doctest::Approx(0.5).epsilon(1e-4));
  CHECK(lr(1) == doctest::Approx(4e-6));
  CHECK(momentum(0) == doctest::Approx(0.95));
  CHECK(momentum(0.3) == doctest::Approx(0.85));
  CHECK(momentum(1) == doctest::Approx(0.95));
  CHECK_THROWS_AS(sequence({}), Error);
  CHECK_THROWS_AS(sequence({{1.0, constant(1)}, {0.5, constant(2)}}), Error);
}

namespace {

// The learning rate of each batch.
std::vector<double> rates(const Schedule& schedule, Learner& learn, int epochs) {
  LrSchedule callback(schedule);
  std::vector<double> all;
  learn.epochs = epochs;
  for (learn.epoch = 0; learn.epoch < epochs; ++learn.epoch)
    for (learn.batch = 0; learn.batch < learn.data.train.num_batches(); ++learn.batch) {
      BatchPlan plan;
      plan.batch = learn.batch;
      plan.rates = learn.optimizer->rates;
      callback.on_batch_plan(learn, plan);
      all.push_back(plan.rates.front().lr);
    }
  return all;
}

// How many batches in a row have the same.
using Runs = std::vector<std::int64_t>;
Runs runs(const Schedule& schedule, Learner& learn, int epochs) {
  Runs result;
  double before = 0;
  for (const double rate : rates(schedule, learn, epochs)) {
    if (rate != before) result.push_back(0);
    ++result.back();
    before = rate;
  }
  return result;
}

}  // namespace

TEST_CASE("schedules: a step comes with the batch that begins at its share, also where shares are sums") {
  for (const std::int64_t batches : {1, 3, 5, 7, 10}) {
    Learner learn(digits(16 * batches), small_network(), quiet());
    for (int epochs = 1; epochs <= 13; ++epochs)
      for (std::int64_t k = 1; k < batches * epochs; ++k) {
        const double share = static_cast<double>(k) / static_cast<double>(batches * epochs);
        REQUIRE(runs(step(1, 0.1, {share}), learn, epochs) == Runs{k, batches * epochs - k});
      }
  }
  Learner learn(digits(80), small_network(), quiet());
  CHECK(runs(step(1, 0.1, {0.2, 0.4, 0.8}), learn, 3) == Runs{3, 3, 6, 3});
  CHECK(runs(step(1, 0.1, {0.1 + 0.2, 0.1 + 0.7}), learn, 2) == Runs{3, 5, 2});
  CHECK(runs(sequence({{0.2, constant(1)}, {0.4, constant(2)}, {0.4, constant(3)}}), learn, 3) == Runs{3, 6, 6});
  CHECK(runs(sequence({{0.1, constant(1)}, {0.2, constant(2)}, {0.3, constant(3)}, {0.4, constant(4)}}), learn, 2) ==
        Runs{1, 2, 3, 4});
  CHECK(runs(sequence({{0.4, constant(1)}, {0.6, step(2, 0.1, {1.0 / 3, 2.0 / 3})}}), learn, 3) == Runs{6, 3, 3, 3});
  // One cycle peaks with the batch at its rise.
  const auto cycle = rates(one_cycle_lr(0.5), learn, 2);
  CHECK(std::max_element(cycle.begin(), cycle.end()) - cycle.begin() == 3);
  CHECK(cycle[3] == 0.5);
}

TEST_CASE("schedules: a line, and a trapezoid, have the values at its corners and between them") {
  CHECK(linear(2, 4)(0) == 2);
  CHECK(linear(2, 4)(0.25) == 2.5);
  CHECK(linear(2, 4)(1) == 4);
  const Schedule shape = trapezoid(8, 0.25, 0.5);
  CHECK(shape(0) == 0);
  CHECK(shape(0.125) == 4);
  for (const double flat : {0.25, 0.4, 0.5}) CHECK(shape(flat) == 8);
  CHECK(shape(0.75) == 4);
  CHECK(shape(1) == 0);
  CHECK(trapezoid(8, 0, 0)(0) == 8);
  CHECK(trapezoid(8, 0, 0)(1) == 8);
  CHECK_THROWS_AS(trapezoid(1, 0.6, 0.5), Error);
  CHECK_THROWS_AS(trapezoid(1, -0.1, 0.5), Error);
}

TEST_CASE("schedules: one of a group alone, after one of all; in a last epoch that is a part of one") {
  LearnerOptions options = quiet();
  options.groups = no_decay_of_vectors;
  Learner learn(digits(80), small_network(), options);
  std::vector<std::vector<Rates>> all;
  learn.add(std::make_shared<LrSchedule>(linear(1, 0), constant(0.5)));
  learn.add(std::make_shared<LrSchedule>(linear(0, 10), Schedule(), 1));
  learn.add(test::at(&test::At::batch_end, [&](Learner& learner) { all.push_back(learner.plan.rates); }));
  learn.fit(1.6);  // 8 of 10 batches
  REQUIRE(all.size() == 8);
  for (std::size_t i = 0; i < 8; ++i) {
    const double progress = static_cast<double>(i) / 8;
    CHECK(all[i] == std::vector<Rates>{{1 - progress, 0.5}, {10 * progress, 0.5}});
  }
  CHECK(learn.recorder->epochs().size() == 2);
  learn.add(std::make_shared<LrSchedule>(constant(1), Schedule(), 2));
  CHECK_THROWS_WITH_AS(learn.fit(1), "LrSchedule: there is no group 2, the optimizer has 2", Error);
}

TEST_CASE("one cycle: sets rate and momentum before every batch, and leaves both as they were") {
  Training training;
  struct Watch : StepCallback {
    std::vector<double> lr, momentum;
    void on_backward_end(Learner& learner) override {
      lr.push_back(learner.optimizer->rates.front().lr);
      momentum.push_back(learner.optimizer->rates.front().momentum);
    }
    StepWork step_work() const override { return StepWork::varies; }
  };
  const auto watch = std::make_shared<Watch>();
  training.learn.add(watch).fit_one_cycle(2, 0.5);
  REQUIRE(watch->lr.size() == 12);
  for (std::size_t i = 0; i < 12; ++i) {
    CHECK(watch->lr[i] == doctest::Approx(one_cycle_lr(0.5)(static_cast<double>(i) / 12)));
    CHECK(watch->momentum[i] == doctest::Approx(one_cycle_momentum()(static_cast<double>(i) / 12)));
  }
  CHECK(training.learn.optimizer->rates.front().lr == AdamOptions{}.lr);
  CHECK(training.learn.optimizer->rates.front().momentum == 0.9);
  CHECK(training.learn.callbacks().back() == watch);
}

TEST_CASE("lr_find: finds a rate that trains, and leaves model, optimizer and random streams as they were") {
  Training training;
  training.learn.fit(1, 1e-3);
  const auto before = weights(training.model);
  const auto mean = training.learn.optimizer->state()[0].tensor.to_vector<float>();
  const RandomState random = random_state();
  const std::uint32_t pass = training.learn.pass;
  const LrCurve curve = lr_find(training.learn, {.steps = 60});
  CHECK(weights(training.model) == before);
  CHECK(training.learn.optimizer->state()[0].tensor.to_vector<float>() == mean);
  CHECK(random_state().streams == random.streams);
  CHECK(training.learn.pass == pass);
  CHECK(training.learn.optimizer->rates.front().lr == 1e-3);
  CHECK(training.learn.recorder->epochs().size() == 1);
  REQUIRE(curve.lr.size() == curve.loss.size());
  REQUIRE(curve.lr.size() >= 20);
  CHECK(curve.lr[0] == doctest::Approx(1e-6));
  CHECK(curve.lr[1] / curve.lr[0] == doctest::Approx(std::pow(1e7, 1.0 / 59)));
  CHECK(curve.suggestion > 1e-6);
  CHECK(curve.suggestion < 10);
  CHECK_THROWS_AS(lr_find(training.learn, {.from = 1, .to = 0.1}), Error);
  CHECK_THROWS_AS(lr_find(training.learn, {.steps = 3}), Error);
}

TEST_CASE("lr_find: trains with the callbacks that change what is trained, at its own rate, and with no others") {
  struct Counting : train::StepCallback, train::Resumable {
    explicit Counting(std::string text) : text(std::move(text)) {}
    void on_batch_begin(Learner&) override { ++batches; }
    StepWork step_work() const override { return StepWork::varies; }
    std::string description() const override { return text; }
    std::string text;
    int batches = 0;
  };
  Training training;
  const auto changing = std::make_shared<Counting>("it changes something"), looking_on = std::make_shared<Counting>("");
  training.learn.mixup().add(changing).add(looking_on);
  training.learn.add(std::make_shared<train::LrSchedule>(train::constant(0.5), train::constant(0.25)));
  const double momentum = training.learn.optimizer->rates.front().momentum;
  const LrCurve curve = lr_find(training.learn, {.steps = 20});
  CHECK(changing->batches >= 10);
  CHECK(looking_on->batches == 0);
  CHECK(curve.lr[0] == doctest::Approx(1e-6));
  CHECK(training.learn.optimizer->rates.front().momentum == momentum);
  CHECK(training.learn.callbacks().size() == 5);  // the recorder, and the four
}

TEST_CASE("lr_find: what it suggests lies in the middle of points that all come before the minimum") {
  // The loss is lower for one batch. It falls most steeply over five points of which the last comes after that one.
  int batches = 0;
  const nn::PerSample::Function scripted = [&](const Tensor& output, const Tensor&) {
    return sum(output * 0.0, 1) + (batches++ == 30 ? 0.0 : 1.0);
  };
  Learner learn(digits(640), nn::simple_cnn({3, 4, 2}), {.loss = {"scripted", scripted}, .verbose = false});
  const LrCurve curve = lr_find(learn, {.steps = 40});
  REQUIRE(curve.lr.size() == 40);
  CHECK(std::min_element(curve.loss.begin(), curve.loss.end()) - curve.loss.begin() == 30);
  CHECK(curve.suggestion == curve.lr[28]);  // of the five points that end with the minimum
}

TEST_CASE("lr_find: its suggestion hardly depends on the seed") {
  double least = INFINITY, most = 0;
  for (std::uint64_t seed = 0; seed < 6; ++seed) {
    manual_seed(seed);
    Learner learn(digits(640, {.batch_size = 16, .shuffle = true, .seed = seed}), nn::simple_cnn({3, 8, 8, 2}),
                  {.seed = seed, .verbose = false});
    const double suggestion = lr_find(learn).suggestion;
    CAPTURE(suggestion);
    CHECK(suggestion > 1e-3);
    CHECK(suggestion < 0.3);
    least = std::min(least, suggestion);
    most = std::max(most, suggestion);
  }
  CHECK(most / least < 10);  // it was 130 for the steepest of single steps
}
