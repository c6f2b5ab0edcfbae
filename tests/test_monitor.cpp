// What watches a quantity of the epochs: EarlyStopping, SaveBest.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "mixgrad.h"
#include "tests/memory.h"
#include "tests/optional.h"
#include "tests/points.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using test::At;
using test::Memory;
using test::points;
using test::TemporaryFolder;
using test::values_of;
using test::weights;
using test::with_sgd;

namespace {

// A metric whose value in the k-th epoch is the k-th given one; the last one stays.
Metric scripted(std::vector<double> values) {
  const auto at = std::make_shared<std::size_t>(0);
  return {"scripted",
          [=](const Tensor&, const Tensor&) { return Tensor::full({}, values[std::min((*at)++, values.size() - 1)]); }};
}

}  // namespace

TEST_CASE("monitor: an unknown name is an error that lists the names, before training") {
  const auto refused = [](std::shared_ptr<Callback> callback) {
    Learner learn(points(8), nn::Linear(2, 2), with_sgd());
    learn.add(std::move(callback));
    CHECK_THROWS_WITH_AS(learn.fit(1), R"(monitor: there is no "acuracy"; there is valid_loss, accuracy)", Error);
    CHECK(learn.optimizer->steps == 0);
  };
  refused(std::make_shared<EarlyStopping>(EarlyStoppingOptions{.monitor = {.quantity = "acuracy"}}));
  refused(std::make_shared<SaveBest>("unused", Monitor{.quantity = "acuracy"}));
}

TEST_CASE("monitor: either direction, a difference that is required, and nan, which improves on nothing") {
  const Monitor lower, higher{.better = Better::higher};
  CHECK(lower.improves(1, 2));
  CHECK(!lower.improves(2, 2));
  CHECK(!lower.improves(1.5, 2, 0.5));
  CHECK(higher.improves(2, 1));
  CHECK(!higher.improves(1, 1));
  CHECK(lower.improves(1e300, lower.worst()));
  CHECK(higher.improves(-1e300, higher.worst()));
  for (const Monitor& monitor : {lower, higher}) CHECK(!monitor.improves(std::nan(""), monitor.worst()));
}

TEST_CASE("early stopping: ends after so many epochs without improvement, in either direction, anew in each fit") {
  const auto epochs = [](std::vector<double> values, EarlyStoppingOptions stopping, int fits = 1) {
    LearnerOptions options = with_sgd();
    options.metrics = {scripted(std::move(values))};
    Learner learn(points(8), nn::Linear(2, 2), options);
    learn.add(std::make_shared<EarlyStopping>(stopping));
    for (int i = 0; i < fits; ++i) learn.fit(20);
    return learn.recorder->epochs().size();
  };
  const Monitor lower{.quantity = "scripted"}, higher{.quantity = "scripted", .better = Better::higher};
  CHECK(epochs({5, 4, 5, 3, 4, 4, 4}, {.monitor = lower, .patience = 3}) == 7);
  CHECK(epochs({5, 4, 5, 3, 4, 4, 4}, {.monitor = higher, .patience = 3}) == 4);
  CHECK(epochs({5, 4.9, 4.8, 4.7}, {.monitor = lower, .patience = 2, .min_delta = 0.5}) == 3);
  CHECK(epochs({std::nan("")}, {.monitor = lower, .patience = 2}) == 2);
  CHECK(epochs({1, 2, 2, 9}, {.monitor = lower, .patience = 2}, 2) == 3);  // 9 is the best of the second fit
  CHECK_THROWS_AS(EarlyStopping({.patience = 0}), Error);
  CHECK_THROWS_AS(EarlyStopping({.min_delta = -1}), Error);
}

TEST_CASE("early stopping: its state is the best value and the epochs waited") {
  LearnerOptions options = with_sgd();
  options.metrics = {scripted({3, 4})};
  Learner learn(points(8), nn::Linear(2, 2), options);
  const auto stopping = std::make_shared<EarlyStopping>(EarlyStoppingOptions{.monitor = {.quantity = "scripted"}});
  learn.add(stopping).fit(2);
  Memory memory;
  stopping->state(memory, learn);
  CHECK(memory.saved == std::map<std::string, std::vector<double>>{{"best", {3}}, {"waited", {1}}});
  memory.saved["waited"] = {4};
  memory.loading = true;
  stopping->state(memory, learn);
  memory.loading = false;
  stopping->state(memory, learn);
  CHECK(memory.saved == std::map<std::string, std::vector<double>>{{"best", {3}}, {"waited", {4}}});
}

TEST_CASE("save best: the file holds the weights and buffers of the best epoch, over several fits") {
  if (!test::has_json()) return;
  const TemporaryFolder folder;
  LearnerOptions options = with_sgd();
  options.metrics = {scripted({0.5, 0.875, 0.75, 0.8125, 0.9375})};
  nn::Sequential model(nn::Linear(2, 2), nn::BatchNorm(2));
  Learner learn(points(8), model, options);
  const auto save = std::make_shared<SaveBest>(folder / "best.safetensors",
                                               Monitor{.quantity = "scripted", .better = Better::higher});
  std::vector<std::vector<float>> each;
  const auto at = std::make_shared<At>();
  at->epoch_end = [&](Learner& learner) { each.push_back(weights(*learner.model)); };
  learn.add(save).add(at).fit(3);
  const auto stored = [&] { return values_of(read_safetensors(folder / "best.safetensors").tensors); };
  CHECK(stored() == each[1]);
  CHECK(save->best() == 0.875);
  learn.fit(1);
  CHECK(stored() == each[1]);
  learn.fit(1);
  CHECK(stored() == each[4]);
  CHECK(read_safetensors(folder / "best.safetensors").tensors[0].name == "0.weight");
  Memory memory;
  save->state(memory, learn);
  CHECK(memory.saved["best"] == std::vector<double>{0.9375});
  SaveBest resumed(folder / "best.safetensors", Monitor{.quantity = "scripted", .better = Better::higher});
  memory.loading = true;
  resumed.state(memory, learn);
  CHECK(resumed.best() == 0.9375);
}

TEST_CASE("save best: a file that can't be written is an error that names it") {
  if (!test::has_json()) return;
  const TemporaryFolder folder;
  Learner learn(points(8), nn::Linear(2, 2), with_sgd());
  learn.add(std::make_shared<SaveBest>(folder / "none/best.safetensors"));
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("none/best.safetensors"), Error);
}
