// What follows the weights while they are trained: Lookahead and WeightAverage.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>

#include "mixgrad.h"
#include "tests/optional.h"
#include "tests/small_network.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using namespace mixgrad::train;
using namespace mixgrad::test;

namespace {

// Notes the weights at the end of each step, as those before it in the list of callbacks leave them, and at others.
struct Notes : StepCallback {
  void on_step_end(Learner& learner) override { steps.push_back(weights(*learner.model)); }
  void on_validate_begin(Learner& learner) override { validated.push_back(weights(*learner.model)); }
  void on_batch_plan(Learner& learner, BatchPlan& plan) override {
    if (plan.batch == 0) first_batch.push_back(weights(*learner.model));
  }
  StepWork step_work() const override { return StepWork::varies; }
  std::vector<std::vector<float>> steps, validated, first_batch;
};

void check_close(const std::vector<float>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]) / std::max(1.0, std::abs(b[i])));
  CHECK(largest <= 1e-6);  // a few roundings in f32
}

std::vector<double> in_f64(const std::vector<float>& x) { return {x.begin(), x.end()}; }

void move_average(std::vector<double>& average, double rate, const std::vector<float>& weights) {
  for (std::size_t i = 0; i < average.size(); ++i) average[i] += rate * (weights[i] - average[i]);
}

}  // namespace

TEST_CASE("averages: to the bit where nothing is due, or all; a rate of 0 passes over what is not finite") {
  using Values = std::vector<float>;
  const Values first{0.1f, 3e8f, -1}, moved{1, 0.1f, INFINITY};
  struct OfValues : nn::Module {
    explicit OfValues(const Values& values) : x(Tensor::from(values, {std::ssize(values)})) {}
    void visit(nn::Visitor& visitor) override { visitor.buffer("x", x); }
    std::string name() const override { return "OfValues"; }
    Tensor x;
  };
  const auto check_update = [&](float rate, float back, const Values& now, const Values& average) {
    CAPTURE(rate);
    OfValues model(first);
    const AveragedWeights averages(model);
    model.x.copy_(OfValues(moved).x);
    averages.update(Tensor::from({rate, back}, {2}));
    for (const Values& expected : {now, average}) {
      CHECK(model.x.to_vector<float>() == expected);
      averages.swap();
    }
  };
  check_update(0, 0, moved, first);
  check_update(0, 1, first, first);
  check_update(1, 0, moved, moved);
  check_update(1, 1, moved, moved);
}

TEST_CASE("lookahead: every few batches, from an epoch on, and at each epoch's end, by the formula, buffers too") {
  for (const int first_epoch : {0, 1, 2}) {
    CAPTURE(first_epoch);
    Training training;  // six batches an epoch
    const auto before = std::make_shared<Notes>(), after = std::make_shared<Notes>();
    training.learn.add(before);
    training.learn.add(std::make_shared<Lookahead>(LookaheadOptions{.every = 4, .first_epoch = first_epoch}));
    training.learn.add(after);
    std::vector<double> slow = in_f64(weights(training.model));
    training.learn.fit(3, 1e-2);
    REQUIRE(after->steps.size() == 18);
    int due = 0;
    for (std::size_t i = 0; i < 18; ++i) {
      const auto &fast = before->steps[i], &now = after->steps[i];
      const std::size_t done = i + 1;
      if (done == static_cast<std::size_t>(6 * first_epoch)) slow = in_f64(fast);
      if (i / 6 < static_cast<std::size_t>(first_epoch) || (done % 4 != 0 && done % 6 != 0)) {
        CHECK(now == fast);  // to the last bit
        continue;
      }
      ++due;
      if (done % 4 == 0) move_average(slow, 1 - std::pow(0.95, 5) * std::pow(static_cast<double>(done) / 18, 3), fast);
      CHECK(now != fast);
      check_close(now, slow);
    }
    CHECK(due == (first_epoch == 0 ? 6 : first_epoch == 1 ? 4 : 2));
    for (std::size_t epoch = 0; epoch < 3; ++epoch) CHECK(after->validated[epoch] == after->steps[6 * epoch + 5]);
    CHECK(weights(training.model) == after->steps.back());
  }
}

TEST_CASE("weight average: by the formula, buffers too; in the model from validation until the next epoch begins") {
  for (const bool warm_up : {false, true}) {
    Training training;
    const auto average = std::make_shared<WeightAverage>(WeightAverageOptions{.decay = 0.8, .warm_up = warm_up});
    const auto notes = std::make_shared<Notes>();
    training.learn.add(average).add(notes);
    std::vector<double> expected = in_f64(weights(training.model));
    training.learn.fit(3, 1e-2);
    REQUIRE(notes->steps.size() == 18);
    for (std::size_t i = 0; i < 18; ++i) {
      const auto done = static_cast<double>(i);
      const double decay = warm_up ? std::min(0.8, (1 + done) / (10 + done)) : 0.8;
      move_average(expected, 1 - decay, notes->steps[i]);
      if (i % 6 == 5) check_close(notes->validated[i / 6], expected);
      if (i % 6 == 0 && i > 0) CHECK(notes->first_batch[i / 6] == notes->steps[i - 1]);
    }
    CHECK(average->has_average());
    CHECK(weights(training.model) == notes->validated.back());
    average->swap();
    CHECK(weights(training.model) == notes->steps.back());
    average->swap();
    CHECK(weights(training.model) == notes->validated.back());
    Training without;
    without.learn.fit(3, 1e-2);
    CHECK(weights(without.model) == notes->steps.back());  // training is what it is without
  }
}

TEST_CASE("weight average: a training that is stopped within an epoch leaves the weights; the average is there, too") {
  Training training;
  const auto average = std::make_shared<WeightAverage>(WeightAverageOptions{.decay = 0.5});
  const auto notes = std::make_shared<Notes>();
  training.learn.add(average).add(notes).add(at(&At::batch_end, [](Learner& learner) {
    if (learner.epoch == 1 && learner.batch == 2) learner.stop();
  }));
  std::vector<double> expected = in_f64(weights(training.model));
  training.learn.fit(3, 1e-2);
  CHECK(!average->has_average());
  CHECK(weights(training.model) == notes->steps.back());
  for (const auto& step : notes->steps) move_average(expected, 0.5, step);
  average->swap();
  check_close(weights(training.model), expected);
}

TEST_CASE("weight average: batches without a step of their own count for nothing") {
  Training training;
  const auto notes = std::make_shared<Notes>();
  training.learn.add(std::make_shared<AccumulateGradients>(3));
  training.learn.add(std::make_shared<WeightAverage>(WeightAverageOptions{.decay = 0.5})).add(notes);
  std::vector<double> expected = in_f64(weights(training.model));
  training.learn.fit(1, 1e-2);
  for (const std::size_t i : {2u, 5u}) move_average(expected, 0.5, notes->steps[i]);
  check_close(weights(training.model), expected);
}

TEST_CASE("weight average: what SaveBest saves is what was validated, wherever it stands") {
  if (!has_json()) return;
  for (const bool before : {false, true}) {
    const TemporaryFolder folder;
    Training training;
    const auto notes = std::make_shared<Notes>();
    const auto save = std::make_shared<SaveBest>(folder / "best");
    if (before) training.learn.add(save);
    training.learn.add(std::make_shared<WeightAverage>(WeightAverageOptions{.decay = 0.8})).add(notes);
    if (!before) training.learn.add(save);
    training.learn.fit(1, 1e-2);
    Training loaded;
    nn::load_weights(loaded.model, folder / "best");
    CHECK(weights(loaded.model) == notes->validated[0]);
  }
}

TEST_CASE("lookahead and weight average: training resumed anywhere ends bit for bit as if it had never stopped") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto lookahead = [] { return std::make_shared<Lookahead>(LookaheadOptions{.every = 4, .first_epoch = 1}); };
  const auto average = [] {
    return std::make_shared<WeightAverage>(WeightAverageOptions{.decay = 0.9, .warm_up = true});
  };
  const std::function<void(Learner&)> all[] = {[&](Learner& learn) { learn.add(lookahead()); },
                                               [&](Learner& learn) { learn.add(average()); },
                                               [&](Learner& learn) { learn.add(lookahead()).add(average()); }};
  for (const auto& add_to : all) {
    const auto begin = [&](Training& training) { add_to(training.learn); };
    Training whole;
    begin(whole);
    whole.learn.fit_one_cycle(3, 1e-2);
    for (const auto& stop : {std::pair{0, 2}, {1, 0}, {1, 1}, {1, 5}, {2, 0}, {2, 4}, {3, 0}}) {
      const auto epoch = stop.first, batch = stop.second;
      CAPTURE(epoch);
      CAPTURE(batch);
      Training first;
      first.learn.add(std::make_shared<Checkpoint>(path, 1));
      begin(first);
      first.learn.add(at(&At::batch_end, [=](Learner& learner) {
        if (learner.epoch == epoch && learner.batch == batch) fail("stopped");  // batch is saved after this
      }));
      if (epoch < 3) CHECK_THROWS_WITH_AS(first.learn.fit_one_cycle(3, 1e-2), "stopped", Error);
      else first.learn.fit_one_cycle(3, 1e-2);
      Training second;
      second.learn.add(std::make_shared<Checkpoint>(path, 1000));
      begin(second);
      resume(second.learn, path);
      second.learn.fit_one_cycle(3, 1e-2);
      CHECK(weights(second.model) == weights(whole.model));
      REQUIRE(second.learn.recorder->epochs().size() == 3);
      for (std::size_t i = 0; i < 3; ++i)
        CHECK(second.learn.recorder->epochs()[i].valid_loss == whole.learn.recorder->epochs()[i].valid_loss);
      if (auto* const last = dynamic_cast<WeightAverage*>(second.learn.callbacks().back().get())) {
        auto& first_last = dynamic_cast<WeightAverage&>(*whole.learn.callbacks().back());
        CHECK(last->has_average());
        last->swap();
        first_last.swap();
        CHECK(weights(second.model) == weights(whole.model));  // those that were trained, too
        first_last.swap();
      }
    }
  }
}

TEST_CASE("checkpoint: with other options of lookahead or weight average it is refused") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto with = [](const std::shared_ptr<Callback>& callback) {
    auto training = std::make_unique<Training>();
    training->learn.add(callback);
    return training;
  };
  save_checkpoint(with(std::make_shared<Lookahead>())->learn, path);
  const auto lookahead = [](LookaheadOptions options) { return std::make_shared<Lookahead>(options); };
  for (const auto& other :
       {lookahead({.every = 6}), lookahead({.decay = constant(0.5)}), lookahead({.first_epoch = 1})})
    CHECK_THROWS_WITH_AS(resume(with(other)->learn, path), doctest::Contains("Lookahead: every 5, first_epoch 0"),
                         Error);
  CHECK_NOTHROW(resume(with(std::make_shared<Lookahead>())->learn, path));
  save_checkpoint(with(std::make_shared<WeightAverage>())->learn, path);
  for (const WeightAverageOptions& other : {WeightAverageOptions{.decay = 0.9}, {.warm_up = true}})
    CHECK_THROWS_WITH_AS(resume(with(std::make_shared<WeightAverage>(other))->learn, path),
                         doctest::Contains("WeightAverage: decay 0.999, warm_up off"), Error);
  CHECK_THROWS_WITH_AS(WeightAverage().swap(), "weight average: there is none before a fit", Error);
  CHECK_THROWS_AS(Lookahead({.every = 0}), Error);
  CHECK_THROWS_AS(Lookahead({.first_epoch = -1}), Error);
  for (const double decay : {-0.1, 1.0, std::nan("")}) {
    CHECK_THROWS_AS(WeightAverage({.decay = decay}), Error);
    CHECK_THROWS_WITH_AS(with(lookahead({.every = 1, .decay = constant(decay)}))->learn.fit(1),
                         doctest::Contains("lookahead: a decay of "), Error);
  }
}
