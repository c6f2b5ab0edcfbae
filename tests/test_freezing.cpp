// Parameters that are frozen by requires_grad_(false): nothing that trains touches them, until they are unfrozen.
#include <doctest/doctest.h>

#include "mixgrad.h"
#include "tests/optional.h"
#include "tests/points.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using namespace mixgrad::test;

namespace {

void require_grad(nn::Module& module, bool on) {
  for (const Tensor& parameter : nn::parameters(module)) parameter.requires_grad_(on);
}

nn::Sequential network() {
  manual_seed(4);
  return nn::Sequential(nn::Linear(2, 8), nn::ReLU(), nn::Linear(8, 8), nn::ReLU(), nn::Linear(8, 2));
}

LearnerOptions quiet_with(Rule optimizer) {
  LearnerOptions options = quiet();
  options.optimizer = std::move(optimizer);
  return options;
}

const struct {
  const char* name;
  Rule make;
} optimizers[] = {{"sgd", sgd({.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1})},
                  {"adamw", adamw({.weight_decay = 0.5})},
                  {"adam", adam({.weight_decay = 0.5})}};

}  // namespace

TEST_CASE("frozen: whichever layer is, it stays bit for bit, and the others train as if the optimizer knew only them") {
  for (const auto& optimizer : optimizers)
    for (const std::size_t frozen : {0u, 2u, 4u}) {
      CAPTURE(optimizer.name);
      CAPTURE(frozen);
      const auto trained = [&](bool listed) {
        nn::Sequential model = network();
        require_grad(model[frozen], false);
        const auto before = weights(model[frozen]);
        LearnerOptions options = quiet_with(optimizer.make);
        if (!listed)
          options.groups = [](nn::Module& model) {
            std::vector<Tensor> parameters = nn::parameters(model);
            std::erase_if(parameters, [](const Tensor& parameter) { return !parameter.requires_grad(); });
            return parameters;
          };
        Learner learn(points(32), model, options);
        learn.fit(2);
        CHECK(weights(model[frozen]) == before);
        CHECK(weights(model[frozen == 0 ? 2 : 0]) != weights(*std::make_unique<nn::Sequential>(network())));
        return weights(model);
      };
      CHECK(trained(true) == trained(false));
    }
}

TEST_CASE("frozen: clipping sees the gradients of the others alone") {
  nn::Sequential model = network();
  Learner learn(points(32), model, with_sgd());
  require_grad(model[2], false);  // when the learner has been made
  learn.add(std::make_shared<GradientClip>(1e-3));
  learn.add(at(&At::backward_end, [&](Learner& learner) {
    double squares = 0;
    for (const Tensor& parameter : nn::parameters(model))
      if (parameter.requires_grad())
        for (const float g : parameter.grad().to_vector<float>()) squares += double{g} * g;
    CHECK(std::sqrt(squares) == doctest::Approx(1e-3).epsilon(1e-5));  // f32
    double all = 0;
    for (const float g : learner.optimizer->gradients().to_vector<float>()) all += double{g} * g;
    CHECK(all == squares);
  }));
  learn.fit(1);
}

TEST_CASE("frozen: layers are unfrozen between fits, and trained from then on") {
  for (const auto& optimizer : optimizers) {
    CAPTURE(optimizer.name);
    nn::Sequential body(nn::Linear(2, 8), nn::ReLU()), model(body, nn::Linear(8, 2));
    Learner learn(points(32), model, quiet_with(optimizer.make));
    const auto at_first = weights(body), head = weights(model[1]);
    for (const Tensor& parameter : nn::parameters(body)) parameter.requires_grad_(false);
    learn.fit(1);  // the head alone
    for (const Tensor& parameter : nn::parameters(body)) parameter.requires_grad_();
    CHECK(weights(body) == at_first);
    CHECK(weights(model[1]) != head);
    learn.fit(3);
    CHECK(weights(body) != at_first);
    const auto trained = weights(body);
    require_grad(body, false);  // with state in the optimizer
    learn.fit(1);
    CHECK(weights(body) == trained);
  }
}

TEST_CASE("frozen: after unfreezing, steps are those of a network that never was frozen") {
  const auto trained = [](bool same_learner) {
    nn::Sequential model = network();
    Learner learn(points(32), model, with_sgd());
    require_grad(model[0], false);
    learn.fit(1);
    require_grad(model[0], true);
    if (same_learner) learn.fit(2);
    else Learner(points(32), model, with_sgd()).fit(2);
    return weights(model);
  };
  CHECK(trained(true) == trained(false));
}

TEST_CASE("frozen: freezing and unfreezing while training counts from the next batch on, for clipping too") {
  nn::Sequential model = network();
  Learner learn(points(32), model, with_sgd(0.9));
  std::vector<float> before;
  learn.add(at(&At::batch_begin, [&](Learner& learner) {
    before = weights(model[0]);
    require_grad(model[0], learner.batch % 2 == 0);
  }));
  learn.add(std::make_shared<AccumulateGradients>(1)).add(std::make_shared<GradientClip>(1e-2));
  learn.add(at(&At::batch_end, [&](Learner& learner) {
    CHECK((weights(model[0]) == before) == (learner.batch % 2 == 1));
    std::vector<float> all = learner.optimizer->gradients().to_vector<float>();
    CHECK(all == std::vector<float>(all.size(), 0.0f));  // cleared after the step
  }));
  learn.fit(2);
}

TEST_CASE("frozen: what a frozen parameter had accumulated is not left among the gradients") {
  nn::Linear a(2, 2), b(2, 2);
  Optimizer optimizer(std::vector{a.weight, b.weight}, sgd());
  optimizer.gradients().fill_(1);
  a.weight.requires_grad_(false);
  CHECK(sum(optimizer.gradients()).item() < 32);
  a.weight.requires_grad_();
  const Tensor x = Tensor::ones({1, 2});
  sum(a(x)).backward();  // into a gradient of its own: the optimizer has not seen the new leaf yet
  optimizer.step();
  CHECK(a.weight.grad().to_vector<float>() == std::vector<float>(4, 1.0f));
  CHECK(a.weight.grad().storage() == optimizer.gradients().storage());
}

TEST_CASE("frozen: where every parameter is, training says so") {
  nn::Sequential model = network();
  Learner learn(points(32), model, with_sgd());
  require_grad(model, false);
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("optimizer: no parameter requires a gradient: all are frozen"),
                       Error);
  CHECK_THROWS_WITH_AS(Learner(points(32), model), doctest::Contains("all are frozen"), Error);
  CHECK(learn.validate().loss > 0);
  require_grad(model[0], true);
  learn.fit(1);
}

TEST_CASE("frozen: training resumed from a checkpoint ends bit for bit alike, and only with the same layers frozen") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  for (const auto& optimizer : optimizers) {
    CAPTURE(optimizer.name);
    const auto trained = [&](std::size_t frozen, bool save, bool resumed) {
      nn::Sequential model = network();
      require_grad(model[frozen], false);
      Learner learn(points(32), model, quiet_with(optimizer.make));
      if (save) learn.add(std::make_shared<Checkpoint>(path, 1));
      if (save)
        learn.add(at(&At::batch_begin, [](Learner& learner) {
          if (learner.epoch == 1 && learner.batch == 2) fail("stopped");
        }));
      if (resumed) resume(learn, path);
      learn.fit(3);
      return weights(model);
    };
    const auto whole = trained(2, false, false);
    CHECK_THROWS_WITH_AS(trained(2, true, false), "stopped", Error);
    CHECK(trained(2, false, true) == whole);
    CHECK_THROWS_WITH_AS(trained(0, false, true), doctest::Contains("frozen parameters 3, 4"), Error);
  }
}

TEST_CASE("FreezeAfter: its parameters are trained in the first epochs of each fit alone") {
  for (const int epochs : {0, 2, 3}) {
    CAPTURE(epochs);
    nn::Sequential model = network();
    Learner learn(points(32), model, with_sgd(0.9));
    std::vector<Tensor> parameters = nn::parameters(model[0]);
    for (const Tensor& parameter : nn::parameters(model[2])) parameters.push_back(parameter);  // frozen before
    learn.add(std::make_shared<FreezeAfter>(parameters, epochs));
    std::vector<float> at_epoch;
    learn.add(at(&At::batch_begin, [&](Learner& learner) {
      if (learner.batch == 0) at_epoch = weights(model[0]);
    }));
    learn.add(at(&At::epoch_end, [&](Learner& learner) {
      CHECK((weights(model[0]) == at_epoch) == (learner.epoch >= epochs));
      CHECK(nn::parameters(model[0])[0].requires_grad() == (learner.epoch < epochs));
    }));
    require_grad(model[2], false);
    for (int fit = 0; fit < 2; ++fit) {
      learn.fit(3);
      for (const Tensor& parameter : nn::parameters(model[0])) CHECK(parameter.requires_grad());
    }
    for (const Tensor& parameter : nn::parameters(model[2])) CHECK(!parameter.requires_grad());
  }
  CHECK_THROWS_WITH_AS(FreezeAfter({}, -1), "freeze: after -1 epochs", Error);
  CHECK_THROWS_AS(FreezeAfter({}, std::nan("")), Error);
}

TEST_CASE("FreezeAfter: after a part of an epoch, rounded up to batches") {
  for (const auto& [epochs, batches] : std::vector<std::pair<double, int>>{{0.25, 1}, {0.3, 2}, {1.5, 6}}) {
    nn::Sequential model = network();
    Learner learn(points(32), model, with_sgd(0.9));
    REQUIRE(learn.data.train.num_batches() == 4);
    learn.add(std::make_shared<FreezeAfter>(nn::parameters(model[0]), epochs));
    int trained = 0;
    std::vector<float> before = weights(model[0]);
    learn.add(at(&At::batch_end, [&](Learner&) {
      trained += weights(model[0]) != before;
      before = weights(model[0]);
    }));
    learn.fit(2);
    CHECK(trained == batches);
  }
}

TEST_CASE("FreezeAfter: training resumed before and after it ends bit for bit alike") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  for (const auto& optimizer : optimizers)
    for (const int stop_in : {0, 1, 2}) {
      CAPTURE(optimizer.name);
      CAPTURE(stop_in);
      const auto trained = [&](bool save, bool resumed, int epochs = 1) {
        nn::Sequential model = network();
        require_grad(model[4], false);
        Learner learn(points(32), model, quiet_with(optimizer.make));
        learn.add(std::make_shared<FreezeAfter>(nn::parameters(model[0]), epochs));
        if (save) learn.add(std::make_shared<Checkpoint>(path, 1));
        if (save)
          learn.add(at(&At::batch_begin, [=](Learner& learner) {
            if (learner.epoch == stop_in && learner.batch == 2) fail("stopped");
          }));
        if (resumed) resume(learn, path);
        learn.fit(3);
        return weights(model);
      };
      const auto whole = trained(false, false);
      CHECK_THROWS_WITH_AS(trained(true, false), "stopped", Error);
      CHECK(trained(false, true) == whole);
      CHECK_THROWS_WITH_AS(trained(false, true, 2), doctest::Contains("FreezeAfter: epochs 1, parameters [8, 2] [8]"),
                           Error);
    }
}

TEST_CASE("frozen: a batch norm still moves its statistics, unless it is in evaluation mode when a batch begins") {
  for (const bool evaluate : {false, true}) {
    nn::BatchNorm norm(2);
    nn::Sequential model(norm, nn::Linear(2, 2));
    require_grad(norm, false);
    Learner learn(points(32), model, with_sgd());
    if (evaluate) learn.add(at(&At::batch_begin, [&](Learner&) { norm.eval(); }));
    learn.fit(1);
    CHECK(norm.weight.detach().to_vector<float>() == std::vector<float>{1, 1});
    CHECK((norm.running_mean.to_vector<float>() == std::vector<float>{0, 0}) == evaluate);
  }
}
