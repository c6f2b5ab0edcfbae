// What a training run leaves behind: the Recorder's numbers, the CSV file.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "mixgrad.h"
#include "tests/files.h"
#include "tests/memory.h"
#include "tests/points.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using augment::MixedTarget;
using test::At;
using test::at;
using test::digits;
using test::Memory;
using test::points;
using test::quiet;
using test::TemporaryFolder;
using test::with_sgd;

TEST_CASE("recorder: train_loss is the bias-corrected moving average over the whole fit") {
  Learner learn(digits(48), nn::simple_cnn({3, 4, 2}), quiet());
  double average = 0, weight = 0;
  learn.add(at(&At::batch_end, [&](Learner& learner) {
    average = 0.98 * average + 0.02 * learner.loss.item();
    weight = 0.98 * weight + 0.02;
  }));
  for (const int epochs : {3, 1}) {  // of one fit, and of no earlier one
    average = weight = 0;
    learn.fit(epochs);
    CHECK(std::ssize(learn.recorder->epochs()) == epochs);
    CHECK(learn.recorder->epochs().back().train_loss == doctest::Approx(average / weight).epsilon(1e-12));
  }
}

TEST_CASE("csv logger: a row per completed epoch, at once; further runs go on below the same header") {
  const TemporaryFolder folder;
  const std::string path = folder / "metrics.csv";
  const auto lines = [&] {
    std::ifstream file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  };
  struct Watch : Callback {
    std::function<void(Learner&)> after;
    void on_epoch_end(Learner& learner) override { after(learner); }
  };
  for (const char* run : {"a", "b"}) {
    Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
    learn.add(std::make_shared<CsvLogger>(path, CsvOptions{.labels = {{"run", run}}, .append = true}));
    const auto watch = std::make_shared<Watch>();
    const std::size_t before = lines().size();
    watch->after = [&](Learner& learner) {
      CHECK(lines().size() == std::max<std::size_t>(before, 1) + static_cast<std::size_t>(learner.epoch) + 1);
    };
    learn.add(watch);
    learn.fit(2);
  }
  const auto all = lines();
  REQUIRE(all.size() == 5);
  CHECK(all[0] == "run,epoch,train_loss,valid_loss,accuracy,seconds,images_per_s");
  CHECK(all[1].starts_with("a,1,"));
  CHECK(all[4].starts_with("b,2,"));
  CHECK_THROWS_WITH_AS(CsvLogger(folder / "none/metrics.csv"), doctest::Contains(": No such file or directory"), Error);
  if (std::filesystem::exists("/dev/full")) {
    Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
    learn.add(std::make_shared<CsvLogger>("/dev/full"));
    CHECK_THROWS_WITH_AS(learn.fit(1), "cannot write /dev/full: No space left on device", Error);
  }
}

TEST_CASE("csv logger: a learner that is fitted once more goes on below, with all of its rows") {
  const TemporaryFolder folder;
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(std::make_shared<CsvLogger>(folder / "log.csv"));
  learn.fit(2);
  learn.fit(3);
  std::ifstream file(folder / "log.csv");
  std::string epochs;
  for (std::string line; std::getline(file, line);) epochs += line.substr(0, line.find(',')) + " ";
  CHECK(epochs == "epoch 1 2 1 2 3 ");
}

TEST_CASE("csv logger: a field with a comma, a quote or a line end is quoted, as RFC 4180 has it") {
  const TemporaryFolder folder;
  LearnerOptions options = with_sgd();
  const auto metric = [](const std::string& name) {
    return Metric{name, [](const Tensor&, const Tensor&) { return Tensor::full({}, 0.5); }};
  };
  options.metrics = {metric("recall, macro"), metric("plain")};
  options.train_metrics = {{"\"train\"", [](const Tensor&, const augment::Target&) { return Tensor::full({}, 1); }}};
  Learner learn(points(16), nn::Linear(2, 2), options);
  const CsvOptions columns{.labels = {{"", ""}, {"digits", "3,7"}, {"two\nlines", "a\rb"}, {"plain", " the \"best\""}}};
  learn.add(std::make_shared<CsvLogger>(folder / "log.csv", columns)).fit(1);
  const std::string text = test::content(folder / "log.csv");
  CHECK(text.starts_with(
      ",digits,\"two\nlines\",plain,epoch,train_loss,\"\"\"train\"\"\",valid_loss,\"recall, macro\",plain,"
      "seconds,images_per_s\n"
      ",\"3,7\",\"a\rb\",\" the \"\"best\"\"\",1,"));
}

TEST_CASE("csv logger: what the file held is lost when the first epoch begins, not before") {
  const TemporaryFolder folder;
  const std::string path = folder.write("log.csv", "old\n");
  Learner learn(points(16), nn::Linear(2, 2), with_sgd()), refused(points(16), nn::Linear(2, 2), with_sgd());
  bool refuses = true;
  learn.add(std::make_shared<CsvLogger>(path)).add(std::make_shared<CsvLogger>(folder / "new.csv"));
  learn.add(at(&At::train_begin, [&](Learner&) { check(!refuses, "refused"); }));
  CHECK_THROWS_WITH_AS(learn.fit(1), "refused", Error);
  refused.fit(1);  // an epoch that is none of the logger's
  refused.add(std::make_shared<CsvLogger>(folder / "new.csv"));
  refused.start_from(
      {.epochs = 1, .lr = refused.optimizer->rates.front().lr, .compare = [](Learner&) { fail("refused"); }});
  CHECK_THROWS_WITH_AS(refused.fit(1), "refused", Error);
  CHECK(test::content(path) == "old\n");
  CHECK(!std::filesystem::exists(folder / "new.csv"));
  refuses = false;
  learn.fit(0);
  CHECK(test::content(path) == "epoch,train_loss,valid_loss,accuracy,seconds,images_per_s\n");
  learn.fit(2);
  const std::string text = test::content(path);
  CHECK(std::count(text.begin(), text.end(), '\n') == 3);
  CHECK(test::content(folder / "new.csv") == text);
  Learner third(points(16), nn::Linear(2, 2), with_sgd());
  third.add(std::make_shared<CsvLogger>(path)).add(at(&At::batch_begin, [&](Learner&) {
    CHECK(test::content(path) == "epoch,train_loss,valid_loss,accuracy,seconds,images_per_s\n");
  }));
  third.fit(1);
  for (const std::string& is_no_file : {std::string(), folder.path(), folder / "new/", folder.path() + "/"})
    CHECK_THROWS_WITH_AS(CsvLogger{is_no_file}, doctest::Contains("cannot write"), Error);
  CHECK_THROWS_WITH_AS(CsvLogger(path + "/log.csv"), doctest::Contains("cannot write"), Error);
}

TEST_CASE("train metrics: the mean over an epoch's training samples, in the records, the CSV file and the state") {
  const TemporaryFolder folder;
  LearnerOptions options = with_sgd();
  options.train_metrics = {mixed_accuracy};
  Learner learn(points(20), nn::Linear(2, 2), options);  // batches of 8, 8 and 4
  std::vector<double> expected;
  double sum = 0;
  const auto at = std::make_shared<At>();
  at->batch_begin = [&](Learner& learner) {
    if (learner.batch == 0) sum = 0;
  };
  at->backward_end = [&](Learner& learner) {
    CHECK(std::holds_alternative<MixedTarget>(learner.target));
    sum += mixed_accuracy_of(learner.output, learner.target).item() * static_cast<double>(learner.output.size(0));
  };
  at->validate_begin = [&](Learner&) { expected.push_back(sum / 20); };
  learn.mixup().add(at).add(std::make_shared<CsvLogger>(folder / "log.csv")).fit(3);
  REQUIRE(learn.recorder->epochs().size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(learn.recorder->epochs()[i].train_metrics == std::vector{expected[i]});
  std::ifstream file(folder / "log.csv");
  std::string header;
  std::getline(file, header);
  CHECK(header == "epoch,train_loss,mixed_accuracy,valid_loss,accuracy,seconds,images_per_s");

  const EpochRecord last = learn.recorder->epochs()[2];
  Memory memory;
  learn.recorder->state(memory, learn);
  Learner other(points(20), nn::Linear(2, 2), options);
  other.mixup().fit(1);
  memory.loading = true;
  other.recorder->state(memory, other);
  REQUIRE(other.recorder->epochs().size() == 3);
  CHECK(other.recorder->epochs()[2].train_metrics == std::vector{expected[2]});
  CHECK(other.recorder->epochs()[2].metrics == last.metrics);
  CHECK(other.recorder->epochs()[2].seconds == last.seconds);
  CHECK(other.recorder->epochs()[2].images_per_s == last.images_per_s);
}

TEST_CASE("recorder: images per second are an epoch's training images in the time of training alone") {
  Learner learn(points(20), nn::Linear(2, 2), with_sgd());  // batches of 8, 8 and 4
  const auto at = std::make_shared<At>();
  at->batch_end = at->validate_begin = [](Learner&) { std::this_thread::sleep_for(std::chrono::milliseconds(10)); };
  learn.add(at).fit(2);
  for (const EpochRecord& epoch : learn.recorder->epochs()) {
    CHECK(epoch.images_per_s <= 20 / 0.03);
    CHECK(epoch.images_per_s >= 20 / (epoch.seconds - 0.01));
  }
}

TEST_CASE("batch results: each batch has its own loss and metrics, oldest first, and nothing of what was cleared") {
  BatchResults results(cpu, 2);
  const auto append = [&](double value) {
    results.append(std::vector{Tensor::full({}, value), Tensor::full({}, 10 * value), Tensor::full({}, 20 * value)});
  };
  append(9);
  results.add_batch(0, 8);
  append(8);  // of a batch that was not completed
  results.clear();
  CHECK(results.waiting() == 0);
  for (const std::int64_t batch : {1, 2, 3}) {
    append(static_cast<double>(batch));
    results.add_batch(batch, 8 * batch);
  }
  CHECK(results.waiting() == 3);
  const std::vector<BatchResult> all = results.read();
  REQUIRE(all.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    const double batch = static_cast<double>(i + 1);
    CHECK(all[i].batch == static_cast<std::int64_t>(i) + 1);
    CHECK(all[i].size == 8 * batch);
    CHECK(all[i].loss == batch);
    CHECK(all[i].train_metrics == std::vector{10 * batch, 20 * batch});
  }
  CHECK(results.waiting() == 0);
}
