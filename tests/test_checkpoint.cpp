// Weights as files; training that is stopped and resumed.
#include <doctest/doctest.h>

#include <cmath>

#include "mixgrad.h"
#include "tests/files.h"
#include "tests/optional.h"
#include "tests/points.h"
#include "tests/small_network.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using test::At;
using test::at;
using test::content;
using test::digits;
using test::has_json;
using test::small_network;
using test::TemporaryFolder;
using test::Training;
using test::weights;

namespace {

struct StopAt : StepCallback {
  StopAt(int epoch, std::int64_t batch) : epoch(epoch), batch(batch) {}
  void on_batch_begin(Learner& learner) override {
    if (learner.epoch == epoch && learner.batch == batch) fail("stopped");
  }
  StepWork step_work() const override { return StepWork::varies; }
  int epoch;
  std::int64_t batch;
};

// All that a checkpoint keeps, as bytes.
std::string state(Learner& learner) {
  const TemporaryFolder folder;
  save_checkpoint(learner, folder / "state");
  return content(folder / "state");
}

// Resuming must fail in one line that has these words, and change nothing.
void check_refused(Learner& learner, const std::string& path, const std::string& words) {
  CAPTURE(words);
  const std::string before = state(learner);
  try {
    resume(learner, path);
    FAIL_CHECK("it was loaded");
  } catch (const Error& error) {
    const std::string text = error.what();
    CHECK_MESSAGE(text.find(words) != std::string::npos, text);
    CHECK_MESSAGE(text.find("run.safetensors") != std::string::npos, text);
    CHECK_MESSAGE(text.find('\n') == std::string::npos, text);
  }
  const bool unchanged = state(learner) == before;
  CHECK(unchanged);
  learner.fit(0);  // and nothing is left to be resumed
}

// Writes the file with another tensor of this name, or with none.
void write_with(const SafeTensors& file, const std::string& path, const std::string& name,
                const std::optional<Tensor>& tensor) {
  SafeTensors changed = file;
  std::erase_if(changed.tensors, [&](const NamedTensor& named) { return named.name == name; });
  if (tensor) changed.tensors.push_back({name, *tensor});
  write_safetensors(path, changed.tensors, changed.metadata);
}

Tensor number(double value) { return Tensor::full({}, value, {.dtype = DType::f64}); }
Tensor numbers(const std::vector<double>& values) {
  return Tensor::from(values, {static_cast<std::int64_t>(values.size())});
}

}  // namespace

TEST_CASE(
    "checkpoint: training resumed anywhere, mixup and one-cycle on, ends bit for bit as if it had never stopped") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  constexpr int epochs = 3;
  Training whole;
  whole.learn.fit_one_cycle(epochs, 1e-2);
  for (const auto& stop : {std::pair{0, 1}, std::pair{1, 3}, std::pair{2, 0}, std::pair{2, 5}}) {
    const auto epoch = stop.first, batch = stop.second;
    CAPTURE(epoch);
    CAPTURE(batch);
    Training first;
    first.learn.add(std::make_shared<Checkpoint>(path, 1)).add(std::make_shared<StopAt>(epoch, batch));
    CHECK_THROWS_WITH_AS(first.learn.fit_one_cycle(epochs, 1e-2), "stopped", Error);
    Training second;
    second.learn.add(std::make_shared<Checkpoint>(path, 1000));
    resume(second.learn, path);
    second.learn.fit_one_cycle(epochs, 1e-2);
    CHECK(weights(second.model) == weights(whole.model));
    const auto& ours = second.learn.recorder->epochs();
    const auto& theirs = whole.learn.recorder->epochs();
    REQUIRE(ours.size() == theirs.size());
    for (std::size_t i = 0; i < ours.size(); ++i) {
      CHECK(ours[i].epoch == theirs[i].epoch);
      CHECK(ours[i].train_loss == theirs[i].train_loss);
      CHECK(ours[i].valid_loss == theirs[i].valid_loss);
      CHECK(ours[i].metrics == theirs[i].metrics);
    }
  }
}

TEST_CASE("checkpoint: a momentum set by hand, and which weights are drawn next, come back too") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  Training first;
  first.learn.optimizer->rates.front().momentum = 0.5;
  nn::Linear(2, 2);
  save_checkpoint(first.learn, path);
  const auto drawn = nn::Linear(2, 2).weight.to_vector<float>();
  Training second;
  resume(second.learn, path);
  CHECK(second.learn.optimizer->rates.front().momentum == 0.5);
  CHECK(nn::Linear(2, 2).weight.to_vector<float>() == drawn);
}

TEST_CASE("checkpoint: of a training that is over, resuming gives its table and trains no more") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  Training first;
  first.learn.add(std::make_shared<Checkpoint>(path, 100));
  first.learn.fit(2, 1e-3);
  Training second;
  resume(second.learn, path);
  second.learn.fit(2);
  CHECK(weights(second.model) == weights(first.model));
  CHECK(second.learn.recorder->epochs().size() == 2);
  CHECK(second.learn.recorder->epochs()[1].train_loss == first.learn.recorder->epochs()[1].train_loss);
  Training third;
  resume(third.learn, path);
  CHECK_THROWS_WITH_AS(third.learn.fit(5), "fit: 5 epochs, the training that is resumed has 2", Error);
  const RandomState random = random_state();
  second.learn.fit(1);  // another fit goes on as usual
  random_state() = random;
  first.learn.fit(1);
  CHECK(weights(second.model) == weights(first.model));
}

TEST_CASE("checkpoint: values that are not finite never replace the last good ones") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto stored = [&](const std::string& name) {
    for (const NamedTensor& named : read_safetensors(path).tensors)
      if (named.name == name) return named.tensor.to(DType::f64).to_vector<double>();
    return std::vector<double>{};
  };
  const std::int64_t last = Training().learn.data.train.num_batches() - 1;
  for (const bool terminate : {false, true})
    for (const std::int64_t bad : {std::int64_t{3}, last}) {
      CAPTURE(terminate);
      CAPTURE(bad);
      Training training;
      training.learn.add(std::make_shared<Checkpoint>(path, 2));
      if (terminate) training.learn.add(std::make_shared<TerminateOnNan>());
      training.learn.add(at(&At::backward_end, [=](Learner& learner) {
        if (learner.batch == bad) learner.optimizer->gradients().fill_(std::nan(""));
      }));
      training.learn.fit(1, 1e-3);
      CHECK(!std::isfinite(weights(training.model)[0]));
      CHECK(stored("position.batch") == std::vector<double>{bad == 3 ? 2. : 4.});
      CHECK(std::isfinite(stored("model.0.weight").at(0)));
    }
  // Gradients that are kept for a later step count too.
  Training training;
  training.learn.add(std::make_shared<AccumulateGradients>(9)).add(std::make_shared<Checkpoint>(path, 1));
  training.learn.add(at(&At::backward_end, [](Learner& learner) {
    if (learner.batch == 2) learner.optimizer->gradients().fill_(HUGE_VAL);
  }));
  training.learn.add(std::make_shared<StopAt>(0, 4));
  CHECK_THROWS_WITH_AS(training.learn.fit(1, 1e-3), "stopped", Error);
  CHECK(stored("position.batch") == std::vector<double>{2});
}

TEST_CASE(
    "checkpoint: training that is stopped within an epoch keeps where it was, after any batch, but not after nan") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  Training whole;
  whole.learn.fit(2, 1e-3);
  const std::int64_t last = whole.learn.data.train.num_batches() - 1;
  for (const int workers : {0, 1, 3})
    for (const std::int64_t batch : {std::int64_t{0}, std::int64_t{2}, last}) {
      CAPTURE(batch);
      Training first(5, 16, small_network, workers);
      first.learn.add(std::make_shared<Checkpoint>(path, 1000)).add(at(&At::batch_end, [=](Learner& learner) {
        if (learner.epoch == 0 && learner.batch == batch) learner.stop();
      }));
      first.learn.fit(2, 1e-3);
      Training second(5, 16, small_network, workers);
      resume(second.learn, path);
      std::int64_t trained = 0;
      second.learn.add(at(&At::batch_end, [&](Learner&) { ++trained; })).fit(2);
      CHECK(trained == 2 * last + 1 - batch);
      CHECK(weights(second.model) == weights(whole.model));
      REQUIRE(second.learn.recorder->epochs().size() == 2);
      CHECK(second.learn.recorder->epochs()[0].valid_loss == whole.learn.recorder->epochs()[0].valid_loss);
      CHECK(second.learn.recorder->epochs()[1].train_loss == whole.learn.recorder->epochs()[1].train_loss);
    }
  std::filesystem::remove(path);
  Training bad;
  bad.learn.add(std::make_shared<Checkpoint>(path, 1000)).add(std::make_shared<TerminateOnNan>());
  bad.learn.add(at(&At::batch_begin, [](Learner& learner) { learner.x().fill_(std::nan("")); }));
  bad.learn.fit(1);
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("checkpoint: a training that begins anew leaves the last file until it has got somewhere") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder.write("run.safetensors", "the last one");
  Training training;
  training.learn.add(std::make_shared<Checkpoint>(path, 2)).add(at(&At::batch_end, [&](Learner& learner) {
    CHECK((content(path) == "the last one") == (learner.batch < 2));
  }));
  training.learn.fit(1);
}

TEST_CASE("checkpoint: of a learner that is fitted once more and stopped before its first batch, the last file stays") {
  if (!has_json()) return;
  struct StopAtOnce : Callback {
    void on_epoch_begin(Learner& learner) override {
      if (stops) learner.stop();
    }
    bool stops = false;
  };
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  Training training;
  const auto stop = std::make_shared<StopAtOnce>();
  training.learn.add(std::make_shared<Checkpoint>(path, 2)).add(stop).fit(1);
  const std::string last = content(path);
  stop->stops = true;
  training.learn.fit(1);
  const bool unchanged = content(path) == last;
  CHECK(unchanged);
}

TEST_CASE("checkpoint: what does not fit is refused, by its first difference, and nothing is loaded") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  {
    Training training;
    training.learn.add(std::make_shared<Checkpoint>(path, 1));
    training.learn.fit(1, 1e-3);
  }
  const std::string good = content(path);
  Training same, other_seed(6), other_batch(5, 32);
  Training other_model(5, 16, [] { return nn::simple_cnn({3, 4, 2}); });
  check_refused(other_model.learn, path, "model.");
  check_refused(other_seed.learn, path, "was written with seed 5, this training has 6");
  check_refused(other_batch.learn, path, "batch_size 16, this training has 32");
  folder.write("run.safetensors", "nonsense");
  check_refused(same.learn, path, "");
  for (std::size_t size = 0; size < good.size(); size += 97) {
    folder.write("run.safetensors", good.substr(0, size));
    check_refused(same.learn, path, "");
  }

  const SafeTensors file = read_safetensors(folder.write("good", good));
  const auto with = [&](const std::string& name, const std::optional<Tensor>& tensor, const std::string& words) {
    write_with(file, path, name, tensor);
    check_refused(same.learn, path, words);
  };
  with("optimizer.mean", {}, "lacks optimizer.mean");
  with("callback.7.surprise", number(1), "holds callback.7.surprise");
  with("model.0.weight", Tensor::zeros({1, 2}), "model.0.weight is f32[1, 2], this training's is f32[4, 3, 3, 3]");
  with("position.batch", number(1e9), "position.batch is 1e+09");
  with("position.epoch", number(std::nan("")), "position.epoch is nan");
  with("position.epoch", number(2), "position.epoch is 2, not a whole number in 0..1");
  with("position.pass", number(16777217), "position.pass is 1.67772e+07");
  with("random.dropouts", number(-1), "random.dropouts is -1");
  with("optimizer.steps", number(0.5), "optimizer.steps is 0.5");
  for (const double lr : {std::nan(""), -1.0, HUGE_VAL}) with("optimizer.lr", number(lr), "optimizer.lr is ");
  with("optimizer.momentum", number(std::nan("")), "optimizer.momentum is nan");
  folder.write("run.safetensors", good);
  CHECK_NOTHROW(resume(same.learn, path));
}

TEST_CASE("checkpoint: a training that would do something else is refused, with what it was and what it is") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto make = [](auto change) {
    manual_seed(5);
    LearnerOptions options = test::quiet();
    MixUpOptions mixup;
    std::vector<std::string> classes{"left", "right"};
    change(options, mixup, classes);
    const data::DataLoaders points = test::points(32);
    auto learn = std::make_unique<Learner>(
        test::loaders(points.train.epoch(0)[0].x, points.train.epoch(0)[0].y, 2, classes), nn::Linear(2, 2), options);
    learn->mixup(mixup);
    return learn;
  };
  const auto same = [](auto&...) {};
  const auto first = make(same);
  first->add(std::make_shared<Checkpoint>(path, 1)).add(std::make_shared<StopAt>(0, 2));
  CHECK_THROWS_WITH_AS(first->fit(2, 1e-2), "stopped", Error);
  const auto refused = [&](const std::string& words, auto change) { check_refused(*make(change), path, words); };
  using Names = std::vector<std::string>;
  using L = LearnerOptions;
  using M = MixUpOptions;
  refused("callback 1 mixup: alpha 0.4, ", [](L&, M& mixup, Names&) { mixup.alpha = 4; });
  refused(" dedupe off, ", [](L&, M& mixup, Names&) { mixup.dedupe = false; });
  refused("classes left, right, this training has left, down", [](L&, M&, Names& names) { names[1] = "down"; });
  refused("loss cross_entropy, reduction mean, this training has cross_entropy, label_smoothing 0.1, reduction mean",
          [](L& options, M&, Names&) { options.loss = nn::cross_entropy_with({.label_smoothing = 0.1}); });
  refused("cross_entropy, class_weights 1 2, ", [](L& options, M&, Names&) {
    options.loss = nn::cross_entropy_with({.class_weights = Tensor::from({1.f, 2.f}, {2})});
  });
  const auto with_optimizer = [&](const std::string& words, const Rule& optimizer) {
    refused(words, [&](L& options, M&, Names&) { options.optimizer = optimizer; });
  };
  with_optimizer("this training has adam: ", adam());
  with_optimizer("this training has sgd: ", sgd());
  with_optimizer(" beta2 0.999, ", adamw({.beta2 = 0.999}));
  with_optimizer(" lr 1, ", adamw({.lr = 1}));
  with_optimizer("weight_decay 0.5", adamw({.weight_decay = 0.5}));
  refused("weight_decay 0", [](L& options, M&, Names&) { options.groups = no_decay_of_vectors; });
  const auto clipped = make(same);
  clipped->add(std::make_shared<GradientClip>(2));
  check_refused(*clipped, path, "callback 2 none, this training has GradientClip: max_norm 2");

  const auto second = make(same);
  resume(*second, path);
  CHECK_THROWS_WITH_AS(second->fit(2, 1), "fit: learning rate 1, the training that is resumed began with 0.01", Error);
  CHECK_THROWS_WITH_AS(second->fit_one_cycle(2, 1e-2), doctest::Contains("callback 2 none, this training has LrSch"),
                       Error);
  second->add(std::make_shared<Checkpoint>(path, 1)).add(std::make_shared<StopAt>(1, 0));
  CHECK_THROWS_WITH_AS(second->fit(2, 1e-2), "stopped", Error);  // it is still there to be resumed
  const auto third = make(same);
  resume(*third, path);
  CHECK_NOTHROW(third->fit(2, 1e-2));
}

TEST_CASE("checkpoint: a one-cycle training is resumed by the same cycle only") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  Training first;
  first.learn.add(std::make_shared<Checkpoint>(folder / "run", 2)).add(std::make_shared<StopAt>(0, 3));
  CHECK_THROWS_WITH_AS(first.learn.fit_one_cycle(2, 1e-2), "stopped", Error);
  Training second;
  resume(second.learn, folder / "run");
  const std::string words = "was written with callback 2 LrSchedule: lr 0.0004 ";
  CHECK_THROWS_WITH_AS(second.learn.fit(2), doctest::Contains(words.c_str()), Error);
  CHECK_THROWS_WITH_AS(second.learn.fit_one_cycle(2, 1), doctest::Contains(words.c_str()), Error);
  CHECK_NOTHROW(second.learn.fit_one_cycle(2, 1e-2));
}

TEST_CASE("checkpoint: a bit of its tensors that changes is found before anything is loaded; so with weights") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  Training first, second;
  first.learn.add(std::make_shared<Checkpoint>(path, 1));
  first.learn.fit(1, 1e-3);
  nn::save_weights(first.model, folder / "weights");
  const std::string checkpoint = content(path), saved = content(folder / "weights");
  const auto flipped = [](std::string bytes, std::size_t back) {
    bytes[bytes.size() - back] ^= 1 << back % 8;
    return bytes;
  };
  const auto data_bytes = [](const std::string& path) {
    std::int64_t bytes = 0;
    for (const auto& [name, tensor] : read_safetensors(path).tensors)
      bytes += tensor.numel() * static_cast<std::int64_t>(size_of(tensor.dtype()));
    return static_cast<std::size_t>(bytes);
  };
  const std::size_t all = data_bytes(path), weight_bytes = data_bytes(folder / "weights");
  for (std::size_t back = 1; back <= all; back += all / 40) {
    folder.write("run.safetensors", flipped(checkpoint, back));
    check_refused(second.learn, path, "damaged");
  }
  const auto before = weights(second.model);
  for (std::size_t back = 1; back <= weight_bytes; back += weight_bytes / 40) {
    folder.write("weights", flipped(saved, back));
    CHECK_THROWS_WITH_AS(nn::load_weights(second.model, folder / "weights"), doctest::Contains("damaged"), Error);
  }
  CHECK(weights(second.model) == before);
}

TEST_CASE("checkpoint: whatever refuses to train, no callback has begun by then, and no file was made or changed") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  Training first;
  first.learn.add(std::make_shared<Checkpoint>(folder / "run", 2)).add(std::make_shared<StopAt>(0, 3));
  CHECK_THROWS_WITH_AS(first.learn.fit_one_cycle(2, 1e-2), "stopped", Error);
  folder.write("old.csv", "old");
  const auto refuses = [&](const std::string& words, const auto& change, double lr_max) {
    Training second;
    resume(second.learn, folder / "run");
    int begun = 0;
    second.learn.add(at(&At::train_begin, [&](Learner&) { ++begun; }));
    for (const char* name : {"old.csv", "new.csv"}) second.learn.add(std::make_shared<CsvLogger>(folder / name));
    change(second.learn);
    CHECK_THROWS_WITH_AS(second.learn.fit_one_cycle(2, lr_max), doctest::Contains(words.c_str()), Error);
    CHECK(content(folder / "old.csv") == "old");
    CHECK(!std::filesystem::exists(folder / "new.csv"));
    return begun;
  };
  const auto nothing = [](Learner&) {};
  CHECK(refuses("was written with callback 2 LrSchedule", nothing, 1) == 0);
  const auto with_patience = [](Learner& learner) { learner.add(std::make_shared<EarlyStopping>()); };
  CHECK(refuses("run: lacks callback.5.best", with_patience, 1e-2) == 0);
  const auto clipped = [](Learner& learner) { learner.add(std::make_shared<GradientClip>(1)); };
  CHECK(refuses("was written with callback 2 ", clipped, 1e-2) == 0);
  // What only a callback knows is refused when it begins, and so before any epoch.
  struct Refuses : Callback {
    void on_train_begin(Learner&) override { fail("not with me"); }
  };
  refuses(
      "not with me", [](Learner& learner) { learner.add(std::make_shared<Refuses>()); }, 1e-2);
}

TEST_CASE("checkpoint: numbers that a callback can't have kept are refused at once, not when training begins") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const Metric half{"half", [](const Tensor&, const Tensor&) { return Tensor::full({}, 0.5); }};
  const TrainMetric third{"third", [](const Tensor&, const augment::Target&) { return Tensor::full({}, 1.0 / 3); }};
  const auto make = [&] {
    manual_seed(5);
    auto learn = std::make_unique<Learner>(
        digits(100), small_network(),
        LearnerOptions{.metrics = {accuracy, half}, .train_metrics = {third}, .seed = 5, .verbose = false});
    learn->add(std::make_shared<AccumulateGradients>(4));
    learn->add(std::make_shared<EarlyStopping>(EarlyStoppingOptions{.patience = 9}));
    learn->add(std::make_shared<SaveBest>(folder / "best"));
    return learn;
  };
  const auto first = make(), second = make();
  first->add(std::make_shared<Checkpoint>(path, 9)).add(std::make_shared<StopAt>(1, 5));
  CHECK_THROWS_WITH_AS(first->fit(2, 1e-3), "stopped", Error);  // the checkpoint is of batch 3 in the second epoch
  const SafeTensors file = read_safetensors(path);
  const auto refused = [&](const std::string& name, const std::optional<Tensor>& tensor, const std::string& words) {
    write_with(file, path, name, tensor);
    check_refused(*second, path, words);
  };
  const double nan = std::nan("");
  refused("callback.0.average", {}, "lacks callback.0.average");
  refused("callback.0.average", numbers({1, 2}), "callback.0.average is f64[2], this training's is f64[]");
  refused("callback.0.average", Tensor::ones({}), "callback.0.average is f32[], this training's is f64[]");
  refused("callback.0.weight", number(nan), "callback.0.weight is nan, not a number in 0..1");
  refused("callback.0.weight", number(1.5), "callback.0.weight is 1.5, not a number in 0..1");
  for (const double samples : {-1.0, 0.5, nan, 1e300})
    refused("callback.0.samples", number(samples), "callback.0.samples is ");
  refused("callback.0.train_metrics", numbers({1, 2}), "callback.0.train_metrics is f64[2], this training's is f64[1]");
  refused("callback.0.metrics", number(1), "callback.0.metrics is 1, not a number in 2..2");
  refused("callback.0.epochs", number(1), "callback.0.epochs is f64[], not a list");
  // A row: epoch, train_loss, valid_loss, seconds, images_per_s, train metrics, metrics.
  const std::vector<double> row{1, 0.5, 0.5, 1, 100, 0.3, 0.9, 0.5};
  const auto with_epoch = [&](double epoch) {
    std::vector<double> rows = row;
    rows.insert(rows.end(), row.begin(), row.end());
    rows[8] = epoch;
    return numbers(rows);
  };
  refused("callback.0.epochs", numbers({1, 2, 3}), "callback.0.epochs has 3 numbers, not rows of 8");
  for (const double epoch : {0.0, -1.0, 1.5, nan, 1e18})
    refused("callback.0.epochs", with_epoch(epoch), "callback.0.epochs[8] is ");
  for (const double count : {-1.0, nan, 0.5})
    refused("callback.1.accumulated", number(count), "callback.1.accumulated is ");
  refused("callback.2.best", number(nan), "callback.2.best is nan, not a number in -inf..inf");
  for (const double count : {-1.0, nan, 0.5}) refused("callback.2.waited", number(count), "callback.2.waited is ");
  refused("callback.3.best", number(nan), "callback.3.best is nan");

  // A loss that is nan is no mistake of the checkpoint's.
  write_with(file, path, "callback.0.average", number(nan));
  resume(*second, path);
  second->fit(2);
  CHECK(std::isnan(second->recorder->epochs().at(1).train_loss));
}

TEST_CASE("checkpoint: a disk that is full leaves the last one, and says so") {
  if (!has_json()) return;
  Training training;
  CHECK_THROWS_AS(save_checkpoint(training.learn, "/none/run.safetensors"), Error);
  if (std::filesystem::exists("/dev/full"))
    CHECK_THROWS_WITH_AS(save_checkpoint(training.learn, "/dev/full"), doctest::Contains("/dev/full"), Error);
  CHECK_THROWS_AS(Checkpoint("x", 0), Error);
}

TEST_CASE("weights: come back bit for bit in either layout, and are refused by the first difference") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  Training a(5), b(6);
  a.learn.fit(1);
  for (const auto layout : {nn::WeightLayout::ohwi, nn::WeightLayout::oihw}) {
    nn::save_weights(a.model, folder / "w", layout);
    nn::load_weights(b.model, folder / "w");
    CHECK(weights(b.model) == weights(a.model));
  }
  CHECK(read_safetensors(folder / "w").metadata.at("format") == "pt");
  // In PyTorch's layout the axes are [out, in, kh, kw].
  const auto stored = read_safetensors(folder / "w").tensors;
  CHECK(stored[0].name == "0.weight");
  CHECK(stored[0].tensor.shape() == Shape{4, 3, 3, 3});
  const Tensor own = nn::named_weights(a.model)[0].tensor;
  const auto oihw = stored[0].tensor.to_vector<float>(), ohwi = own.to_vector<float>();
  for (std::size_t o = 0; o < 4; ++o)
    for (std::size_t c = 0; c < 3; ++c)
      for (std::size_t k = 0; k < 9; ++k) CHECK(oihw[(o * 3 + c) * 9 + k] == ohwi[(o * 9 + k) * 3 + c]);

  nn::Sequential other = nn::simple_cnn({3, 4, 2});
  const auto before = weights(other);
  CHECK_THROWS_WITH_AS(nn::load_weights(other, folder / "w"), doctest::Contains("lacks the tensor 2.weight"), Error);
  CHECK(weights(other) == before);
  nn::Sequential narrow = nn::simple_cnn({3, 5, 2});
  nn::save_weights(other, folder / "o");
  CHECK_THROWS_WITH_AS(nn::load_weights(narrow, folder / "o"),
                       doctest::Contains("0.weight is f32[4, 3, 3, 3], the model's is f32[5, 3, 3, 3]"), Error);
  // The layout is never guessed where the file is one of ours.
  const SafeTensors ours = read_safetensors(folder / "o");
  const auto refused = [&](const std::map<std::string, std::string>& metadata, const std::string& words) {
    write_safetensors(folder / "bad", ours.tensors, metadata);
    CHECK_THROWS_WITH_AS(nn::load_weights(other, folder / "bad"), doctest::Contains(words.c_str()), Error);
  };
  refused({{"format", "mixgrad"}, {"layout", "ohwh"}}, "its layout is ohwh, not ohwi or oihw");
  refused({{"format", "mixgrad"}, {"mayout", "ohwi"}}, "its layout is missing");
  // Only PyTorch's layout goes by PyTorch's name, and shapes are those of the file.
  CHECK(read_safetensors(folder / "o").metadata.at("format") == "mixgrad");
  nn::Sequential wide(nn::Conv2d(1, 4)), grey(nn::Conv2d(2, 4));
  nn::save_weights(wide, folder / "pt", nn::WeightLayout::oihw);
  CHECK_THROWS_WITH_AS(nn::load_weights(grey, folder / "pt"),
                       doctest::Contains("0.weight is f32[4, 1, 3, 3], the model's is f32[4, 2, 3, 3]"), Error);
}

TEST_CASE("lr_find: not between resume and fit, and the training that is resumed goes on all the same") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  Training whole;
  whole.learn.fit(2, 1e-3);
  Training first;
  first.learn.add(std::make_shared<Checkpoint>(path, 1)).add(std::make_shared<StopAt>(1, 2));
  CHECK_THROWS_WITH_AS(first.learn.fit(2, 1e-3), "stopped", Error);
  Training second;
  resume(second.learn, path);
  const std::string before = state(second.learn);
  CHECK_THROWS_WITH_AS(lr_find(second.learn, {.steps = 20}), doctest::Contains("resumed"), Error);
  const bool unchanged = state(second.learn) == before;
  CHECK(unchanged);
  second.learn.fit(2);
  CHECK(weights(second.model) == weights(whole.model));
}
