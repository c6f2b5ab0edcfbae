// The Learner: its loop, its hooks, determinism, steady state.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>
#include <utility>

#include "mixgrad.h"
#include "tests/count_new.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using augment::MixedTarget;
using test::At;
using test::at;
using test::digits;
using test::quiet;
using test::trained_weights;
using test::weights;

TEST_CASE("learner: overfits 64 images") {
  manual_seed(1);
  Learner learn(digits(64), nn::simple_cnn({3, 16, 16, 2}), quiet());
  learn.fit(60, 1e-2);
  CHECK(learn.recorder->epochs().back().train_loss < 0.1);
  CHECK(learn.validate().metrics[0] == 1.0);
}

TEST_CASE(
    "learner: the same seed trains the same weights, bit for bit, with 1 and with 2 threads, with and without mixup") {
  const MixUpOptions mixup;
  const int threads = num_threads();
  for (const MixUpOptions* options : {static_cast<const MixUpOptions*>(nullptr), &mixup}) {
    set_num_threads(1);
    const auto first = trained_weights(options);
    CHECK(trained_weights(options) == first);
    set_num_threads(2);
    CHECK(trained_weights(options) == first);
    set_num_threads(threads);
  }
}

TEST_CASE("learner: trains the very model it is given, and leaves it in evaluation mode") {
  auto model = nn::simple_cnn({3, 4, 2}, {.batch_norm = true});
  const auto before = weights(model);
  Learner learn(digits(32), model, quiet());
  learn.fit(1);
  CHECK(weights(model) != before);
  CHECK(!model.training());
  const Tensor x = learn.data.valid.epoch(0)[0].x;
  CHECK(learn.predict(x).to_vector<float>() == no_grad([&] { return model(x); }).to_vector<float>());
}

TEST_CASE("learner: a second fit goes on from the first, in another order") {
  std::vector<std::vector<float>> first_batches;
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(at(&At::batch_begin, [&](Learner& learner) {
    if (learner.batch == 0) first_batches.push_back(learner.x().to_vector<float>());
  }));
  learn.fit(1);
  learn.fit(1);
  REQUIRE(first_batches.size() == 2);
  CHECK(first_batches[0] != first_batches[1]);
}

TEST_CASE("learner: a batch is planned as a value, which can be printed, before any of it is computed") {
  struct Plans : Callback {
    void on_batch_plan(Learner& learner, BatchPlan& plan) override {
      set_lr(plan.rates, 0.5);
      plan.values["scale"] = std::vector{2.0f};
      CHECK(plan.pass == learner.pass);
      planned.push_back(plan.indices);
    }
    void on_batch_end(Learner& learner) override {
      CHECK(learner.plan.indices == planned.back());
      CHECK(learner.plan.batch == learner.batch);
      CHECK(learner.optimizer->rates.front().lr == 0.5);
      CHECK(learner.planned("scale").item() == 2);
      CHECK_THROWS_WITH_AS(learner.planned("shift"), "learner: the plan of this batch has no shift", Error);
    }
    std::vector<std::vector<std::int32_t>> planned;
  };
  const auto plans = std::make_shared<Plans>();
  Learner learn(digits(20), nn::simple_cnn({3, 4, 4, 2}), quiet());
  learn.add(plans).fit(1);
  REQUIRE(plans->planned.size() == 2);
  CHECK(plans->planned[1].size() == 4);
  const auto order = learn.data.train.epoch(0);
  CHECK(learn.data.train.dataset().get(plans->planned[1]).y.to_vector<std::int32_t>() ==
        order[1].y.to_vector<std::int32_t>());

  std::ostringstream out;
  out << BatchPlan{.pass = 1, .batch = 2, .indices = {5, 0, 3}, .rates = {{.lr = 0.25, .momentum = 0.9}}};
  CHECK(out.str() == "pass 1, batch 2: lr 0.25, momentum 0.9, samples 5 0 3\n");
}

TEST_CASE("learner: hooks run in the documented order") {
  struct Log : StepCallback {
    std::string text;
    void on_train_begin(Learner&) override { text += "train("; }
    void on_epoch_begin(Learner&) override { text += "epoch("; }
    void on_batch_begin(Learner&) override { text += "b"; }
    void on_loss_begin(Learner&) override { text += "l"; }
    void on_backward_begin(Learner&) override { text += "g"; }
    void on_backward_end(Learner&) override { text += "G"; }
    void on_step_end(Learner&) override { text += "s"; }
    void on_batch_end(Learner&) override { text += "B"; }
    void on_validate_begin(Learner&) override { text += "v"; }
    void on_epoch_end(Learner&) override { text += ")"; }
    void on_train_end(Learner&) noexcept override { text += ")"; }
    StepWork step_work() const override { return StepWork::same; }
  };
  const auto log = std::make_shared<Log>();
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(log).fit(2);
  CHECK(log->text == "train(epoch(blgGsBblgGsBv)epoch(blgGsBblgGsBv))");
}

TEST_CASE("learner: stop ends after the batch, skips validation, and the table keeps whole epochs only") {
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  int batches = 0;
  learn.add(at(&At::batch_end, [&](Learner& learner) {
    if (++batches == 6) learner.stop();
  }));
  learn.fit(5);
  CHECK(batches == 6);
  CHECK(learn.recorder->epochs().size() == 1);
}

TEST_CASE("learner: stopped before validation, the epoch still counts when it is validated") {
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(at(&At::validate_begin, [&](Learner& learner) { learner.stop(); }));
  learn.fit(5);
  CHECK(learn.recorder->epochs().size() == 1);
}

TEST_CASE("learner: the last epoch may be a part of one, rounded up to whole batches, and is validated") {
  const std::pair<double, int> batches_of[] = {{0, 0}, {0.1, 1}, {0.25, 1},      {0.26, 2},
                                               {1, 4}, {1.5, 6}, {1 + 1e-12, 4}, {2.99, 12}};
  for (const int workers : {0, 2})
    for (const auto& of : batches_of) {
      CAPTURE(of.first);
      Learner learn(digits(64, {.batch_size = 16, .workers = workers}), nn::simple_cnn({3, 4, 2}), quiet());
      int seen = 0;
      learn.add(at(&At::batch_end, [&](Learner&) { ++seen; }));
      learn.fit(of.first);
      CHECK(seen == of.second);
      CHECK(learn.total_batches() == of.second);
      CHECK(std::ssize(learn.recorder->epochs()) == (of.second + 3) / 4);
    }
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  CHECK_THROWS_WITH_AS(learn.fit(-0.5), "fit: -0.5 epochs", Error);
  CHECK_THROWS_AS(learn.fit(std::nan("")), Error);
}

TEST_CASE("learner: without a learning rate of its own, fit keeps the optimizer's") {
  LearnerOptions options = quiet();
  options.optimizer = sgd({.lr = 0.5});
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), options);
  learn.fit(1);
  CHECK(learn.optimizer->rates.front().lr == 0.5);
  learn.fit(1, 0.25);
  CHECK(learn.optimizer->rates.front().lr == 0.25);
}

TEST_CASE("learner: callbacks come off in reverse order, so whoever wraps the loss leaves it as it was") {
  struct Doubles : Callback {
    std::function<Tensor(const Tensor&, const augment::Target&)> original;
    void on_train_begin(Learner& learner) override {
      original = learner.loss_function;
      learner.loss_function = [loss = original](const Tensor& output, const augment::Target& target) {
        return loss(output, target) * 2.0;
      };
    }
    void on_train_end(Learner& learner) noexcept override { learner.loss_function = original; }
  };
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.mixup().add(std::make_shared<Doubles>()).fit(1);
  const Tensor logits = Tensor::zeros({2, 2}), labels = Tensor::from<std::int32_t>({0, 1}, {2});
  CHECK(learn.loss_function(logits, labels).item() == doctest::Approx(std::log(2.0)));
  CHECK_THROWS_AS(learn.loss_function(logits, MixedTarget{labels, labels, Tensor::ones({2})}), Error);
}

TEST_CASE("learner: callbacks can't be added while training") {
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(at(&At::epoch_end, [](Learner& learner) { learner.mixup({.alpha = 0.2}); }));
  CHECK_THROWS_WITH_AS(learn.fit(1), "learner: a mix was asked for while training", Error);
}

TEST_CASE("learner: a module whose visit() forgets a parameter is refused, not left untrained") {
  struct Forgetful : nn::Module {
    nn::Sequential cnn = nn::simple_cnn({3, 4, 2});
    Tensor scale = nn::parameter(Tensor::ones({2}));
    Tensor forward(const Tensor& x) override { return cnn(x) * scale; }
    void visit(nn::Visitor& visitor) override { visitor.child("cnn", cnn); }
    std::string name() const override { return "Forgetful"; }
  };
  Learner learn(digits(32), Forgetful(), quiet());
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("a tensor of shape [2] requires a gradient"), Error);
}

TEST_CASE("learner: bad epochs and learning rates are refused") {
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  CHECK_THROWS_AS(learn.fit(-1), Error);
  CHECK_THROWS_AS(learn.fit(1, -1.0), Error);
  CHECK_THROWS_AS(learn.fit(1, std::nan("")), Error);
  learn.fit(0);
  CHECK(learn.recorder->epochs().empty());
}

TEST_CASE("learner: an exception leaves no gradient behind") {
  manual_seed(5);
  auto model = nn::simple_cnn({3, 4, 2});
  Learner learn(digits(32), model, quiet());
  bool thrown = false;
  learn.add(at(&At::backward_end, [&](Learner& learner) {
    if (learner.batch == 1 && !std::exchange(thrown, true)) fail("in the middle");
  }));
  const auto before = nn::parameters(model)[0].grad();
  CHECK_THROWS_WITH_AS(learn.fit(1), "in the middle", Error);
  CHECK(before.to_vector<float>() != std::vector<float>(static_cast<std::size_t>(before.numel())));
  learn.fit(0);
  for (const float value : before.to_vector<float>()) CHECK(value == 0);
}

TEST_CASE("learner: in steady state a step misses no storage cache and calls operator new as often as the last") {
  for (const bool mixup : {false, true}) {
    Learner learn(digits(160, {.batch_size = 16, .shuffle = true, .drop_last = true}), nn::simple_cnn({3, 16, 16, 2}),
                  quiet());
    if (mixup) learn.mixup();
    std::vector<std::uint64_t> misses, calls;
    misses.reserve(64);
    calls.reserve(64);
    const auto count = at(&At::batch_end, [&](Learner&) {
      misses.push_back(allocator_stats().misses);
      calls.push_back(operator_new_calls());
    });
    learn.add(count).fit(2);
    REQUIRE(misses.size() == 20);
    for (std::size_t i = 2; i < misses.size(); ++i) {
      if (allocator_caches() && i != 10) CHECK(misses[i] == misses[i - 1]);  // between epochs there is a validation
      if (i != 10) CHECK(calls[i] - calls[i - 1] == calls[2] - calls[1]);
    }
    CHECK(calls[2] - calls[1] < 2000);
  }
}

TEST_CASE("learner: validation weighs batches by their size") {
  Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());  // batches of 16, 16 and 8
  const Validation validation = learn.validate();
  double loss = 0, right = 0;
  for (const data::Batch& batch : learn.data.valid.epoch(0)) {
    const Tensor output = learn.predict(batch.x);
    loss += sum(nn::cross_entropy.per_sample(output, batch.y)).item();
    right += accuracy_of(output, batch.y).item() * static_cast<double>(batch.size());
  }
  CHECK(validation.loss == doctest::Approx(loss / 40).epsilon(1e-6));
  CHECK(validation.metrics[0] == doctest::Approx(right / 40));
}
