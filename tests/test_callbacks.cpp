// The stock callbacks but MixUpCallback, and what looks into a trained model.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "mixgrad.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using namespace mixgrad::train;
using augment::MixedTarget;
using test::TemporaryFolder;

namespace {

constexpr float not_a_number = std::numeric_limits<float>::quiet_NaN();
constexpr float infinity = std::numeric_limits<float>::infinity();

// Samples given as tensors.
struct Samples : data::Dataset {
  Samples(Tensor x, Tensor y, std::vector<std::string> names) : x(x), y(y), names(std::move(names)) {}
  std::int64_t size() const override { return x.size(0); }
  data::Batch get(std::span<const std::int32_t> indices) const override {
    const Tensor index = Tensor::from(indices, {static_cast<std::int64_t>(indices.size())});
    return {gather(x, index), gather(y, index)};
  }
  const std::vector<std::string>& classes() const override { return names; }
  Tensor x, y;
  std::vector<std::string> names;
};

// The same samples for training and validation, in their order.
data::DataLoaders loaders(const Tensor& x, const Tensor& y, std::int64_t batch_size = 8,
                          std::vector<std::string> names = {"left", "right"}) {
  const auto samples = std::make_shared<Samples>(x, y, std::move(names));
  return {data::DataLoader(samples, {.batch_size = batch_size}), data::DataLoader(samples, {.batch_size = batch_size})};
}

// Points of the plane; class 1 where the first coordinate is positive.
data::DataLoaders points(std::int64_t count, std::int64_t batch_size = 8) {
  Random random(3);
  std::vector<float> x;
  std::vector<std::int32_t> y;
  for (std::int64_t i = 0; i < count; ++i) {
    x.push_back(static_cast<float>(2 * random.uniform() - 1));
    x.push_back(static_cast<float>(2 * random.uniform() - 1));
    y.push_back(x[x.size() - 2] > 0);
  }
  return loaders(Tensor::from(x, {count, 2}), Tensor::from(y, {count}), batch_size);
}

LearnerOptions quiet(double momentum = 0) {
  return {.metrics = {accuracy}, .optimizer = sgd({.lr = 0.1, .momentum = momentum}), .seed = 5, .verbose = false};
}

// Gives its input back: whatever the data say is the output.
struct Identity : nn::Module {
  Tensor unused = nn::parameter(Tensor::zeros({1}));
  using Module::forward;
  Tensor forward(const Tensor& x) override { return x + unused * 0.0; }
  void visit(nn::Visitor& visitor) override { visitor.parameter("unused", unused); }
  std::string name() const override { return "Identity"; }
};

std::vector<float> values_of(const std::vector<NamedTensor>& tensors) {
  std::vector<float> all;
  for (const NamedTensor& named : tensors)
    for (const float value : named.tensor.detach().to_vector<float>()) all.push_back(value);
  return all;
}
std::vector<float> weights(nn::Module& model) { return values_of(nn::named_parameters(model)); }

double norm_of(const Tensor& x) {
  double squares = 0;
  for (const float value : x.to_vector<float>()) squares += double{value} * value;
  return std::sqrt(squares);
}

// Runs a function at one hook.
struct At : Callback {
  using Function = std::function<void(Learner&)>;
  Function batch_begin, backward_end, validate_begin, epoch_end;
  void on_batch_begin(Learner& learner) override { run(batch_begin, learner); }
  void on_backward_end(Learner& learner) override { run(backward_end, learner); }
  void on_validate_begin(Learner& learner) override { run(validate_begin, learner); }
  void on_epoch_end(Learner& learner) override { run(epoch_end, learner); }
  static void run(const Function& f, Learner& learner) {
    if (f) f(learner);
  }
};

std::shared_ptr<At> at_backward_end(At::Function f) {
  const auto at = std::make_shared<At>();
  at->backward_end = std::move(f);
  return at;
}

// A metric whose value in the k-th epoch is the k-th given one; the last one stays.
Metric scripted(std::vector<double> values) {
  const auto at = std::make_shared<std::size_t>(0);
  return {"scripted", [=](const Tensor&, const Tensor&) { return values[std::min((*at)++, values.size() - 1)]; }};
}

// Keeps state in memory: what a checkpoint does with a file.
struct Memory : StateVisitor {
  bool loading = false;
  std::map<std::string, std::vector<double>> saved;
  std::map<std::string, Tensor> tensors;
  void number(const std::string& name, double& value, const Range& range) override {
    CHECK(range.contains(value));
    if (loading) value = saved.at(name).at(0);
    else saved[name] = {value};
  }
  void numbers(const std::string& name, std::vector<double>& values, const std::vector<Range>& columns) override {
    CHECK(values.size() % columns.size() == 0);
    if (loading) values = saved.at(name);
    else saved[name] = values;
  }
  void tensor(const std::string& name, const Tensor& tensor) override {
    if (loading) tensor.copy_(tensors.at(name));
    else tensors[name] = tensor.clone();
  }
};

}  // namespace

TEST_CASE("gradient clip: a larger norm becomes the largest allowed, a smaller one stays, bit for bit") {
  for (const double scale : {1e-3, 1e3, 1e30}) {  // the squares of 1e30 overflow f32
    Learner learn(points(8), nn::Linear(2, 2), quiet());
    std::vector<float> before, after;
    learn.add(at_backward_end([&](Learner& learner) {
      const Tensor& g = learner.optimizer->gradients();
      g.copy_(no_grad([&] { return g * (scale / norm_of(g)); }));
      before = g.to_vector<float>();
    }));
    learn.add(std::make_shared<GradientClip>(1.0));
    learn.add(at_backward_end([&](Learner& learner) {
      const Tensor& g = learner.optimizer->gradients();
      after = g.to_vector<float>();
      if (scale > 1) CHECK(norm_of(g) == doctest::Approx(1).epsilon(1e-6));  // rounding to f32
    }));
    learn.fit(1);
    if (scale < 1) CHECK(after == before);
  }
}

TEST_CASE("gradient clip: leaves zero gradients, those that are not finite, and skipped steps alone") {
  for (const float value : {0.0f, infinity, not_a_number, 1e3f}) {
    Learner learn(points(8), nn::Linear(2, 2), quiet());
    learn.add(at_backward_end([&](Learner& learner) {
      learner.optimizer->gradients().fill_(value);
      learner.skip_step = value == 1e3f;
    }));
    learn.add(std::make_shared<GradientClip>(1.0));
    learn.add(at_backward_end([&](Learner& learner) {
      const float here = learner.optimizer->gradients().to_vector<float>()[0];
      CHECK((here == value || (std::isnan(here) && std::isnan(value))));
      learner.stop();
    }));
    learn.fit(1);
  }
  CHECK_THROWS_WITH_AS(GradientClip(0), "gradient clip: a largest norm of 0", Error);
  CHECK_THROWS_AS(GradientClip(std::nan("")), Error);
}

TEST_CASE("accumulate: four batches of 8 train as one batch of 32 does") {
  const auto trained = [](std::int64_t batch_size, std::int64_t accumulate) {
    manual_seed(4);
    nn::Sequential model(nn::Linear(2, 8), nn::ReLU(), nn::Linear(8, 2));
    Learner learn(points(64, batch_size), model, quiet(0.9));
    if (accumulate > 1) learn.add(std::make_shared<AccumulateGradients>(accumulate));
    learn.add(std::make_shared<GradientClip>(0.05)).fit(3);
    CHECK(learn.optimizer->steps == 6);
    return weights(model);
  };
  const auto large = trained(32, 1), small = trained(8, 4);
  for (std::size_t i = 0; i < large.size(); ++i)
    CHECK(small[i] == doctest::Approx(large[i]).epsilon(1e-5));  // sums in another order, over six steps
}

TEST_CASE("accumulate: what is left at the end of an epoch makes a step of its own, with its own mean") {
  Learner learn(points(40), nn::Linear(2, 2), quiet());  // 5 batches: steps after 2, 4 and 5
  learn.add(std::make_shared<AccumulateGradients>(2));
  std::vector<std::int64_t> steps;
  learn.add(at_backward_end([&](Learner& learner) {
    if (!learner.skip_step) steps.push_back(learner.batch);
    learner.optimizer->gradients().fill_(learner.batch == 4 ? 7.0 : 1.0);
  }));
  learn.fit(2);
  CHECK(steps == std::vector<std::int64_t>{1, 3, 4, 1, 3, 4});
  CHECK_THROWS_WITH_AS(AccumulateGradients(0), "accumulate: steps after every 0 batches", Error);
}

TEST_CASE("accumulate: its state goes on in the middle of a step") {
  Memory memory;
  const auto gradients = [&](bool resumed) {
    manual_seed(4);
    Learner learn(points(32), nn::Linear(2, 2), quiet());
    const auto accumulate = std::make_shared<AccumulateGradients>(4);
    const auto at = std::make_shared<At>();
    at->batch_begin = [&](Learner& learner) {
      memory.loading = resumed;
      if (learner.batch == (resumed ? 0 : 2)) {
        accumulate->state(memory, learner);
        memory.tensor("gradients", learner.optimizer->gradients());  // as a checkpoint does
      }
      if (!resumed) return;
      const data::Batch rest = learner.data.train.epoch(0)[learner.batch + 2];
      learner.input = rest.x;
      learner.target = rest.y;
    };
    std::vector<float> values;
    at->backward_end = [&](Learner& learner) {
      CHECK(learner.skip_step == (learner.batch != (resumed ? 1 : 3)));
      values = learner.optimizer->gradients().to_vector<float>();
      if (!learner.skip_step) learner.stop();
    };
    learn.add(accumulate).add(at).fit(1);
    return values;
  };
  const auto whole = gradients(false);
  CHECK(memory.saved["accumulated"] == std::vector<double>{2});
  CHECK(gradients(true) == whole);
}

TEST_CASE("monitor: an unknown name is an error that lists the names, before training") {
  const auto refused = [](std::shared_ptr<Callback> callback) {
    Learner learn(points(8), nn::Linear(2, 2), quiet());
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
    LearnerOptions options = quiet();
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
  LearnerOptions options = quiet();
  options.metrics = {scripted({3, 4})};
  Learner learn(points(8), nn::Linear(2, 2), options);
  const auto stopping = std::make_shared<EarlyStopping>(EarlyStoppingOptions{.monitor = {.quantity = "scripted"}});
  learn.add(stopping).fit(2);
  Memory memory;
  stopping->state(memory, learn);
  CHECK(memory.saved == std::map<std::string, std::vector<double>>{{"best", {3}}, {"waited", {1}}});
}

TEST_CASE("save best: the file holds the weights and buffers of the best epoch, over several fits") {
  const TemporaryFolder folder;
  LearnerOptions options = quiet();
  options.metrics = {scripted({0.5, 0.9, 0.7, 0.8, 0.95})};
  nn::Sequential model(nn::Linear(2, 2), nn::BatchNorm(2));
  Learner learn(points(8), model, options);
  const auto save = std::make_shared<SaveBest>(folder / "best.safetensors",
                                               Monitor{.quantity = "scripted", .better = Better::higher});
  std::vector<std::vector<float>> each;
  const auto at = std::make_shared<At>();
  at->epoch_end = [&](Learner& learner) {
    each.push_back(weights(*learner.model));
    for (const float value : values_of(nn::named_buffers(*learner.model))) each.back().push_back(value);
  };
  learn.add(save).add(at).fit(3);
  const auto stored = [&] { return values_of(read_safetensors(folder / "best.safetensors").tensors); };
  CHECK(stored() == each[1]);
  CHECK(save->best() == 0.9);
  learn.fit(1);
  CHECK(stored() == each[1]);
  learn.fit(1);
  CHECK(stored() == each[4]);
  CHECK(read_safetensors(folder / "best.safetensors").tensors[0].name == "0.weight");
  Memory memory;
  save->state(memory, learn);
  CHECK(memory.saved["best"] == std::vector<double>{0.95});
}

TEST_CASE("save best: a file that can't be written is an error that names it") {
  const TemporaryFolder folder;
  Learner learn(points(8), nn::Linear(2, 2), quiet());
  learn.add(std::make_shared<SaveBest>(folder / "none/best.safetensors"));
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("none/best.safetensors"), Error);
}

TEST_CASE("terminate on nan: no step, no trace in batch norm, and the place is told") {
  for (const float poison : {not_a_number, infinity}) {
    nn::Sequential model(nn::BatchNorm(2), nn::Linear(2, 2));
    Learner learn(points(32), model, quiet(0.9));
    const auto terminate = std::make_shared<TerminateOnNan>();
    std::vector<float> parameters, buffers;
    const auto at = std::make_shared<At>();
    at->batch_begin = [&](Learner& learner) {
      CHECK(!(learner.epoch == 1 && learner.batch > 2));
      if (learner.epoch != 1 || learner.batch != 2) return;
      parameters = weights(model);
      buffers = values_of(nn::named_buffers(model));
      learner.input = Tensor::full({8, 2}, poison);
    };
    learn.add(terminate).add(std::make_shared<GradientClip>(1.0)).add(at).fit(4);
    REQUIRE(terminate->bad());
    CHECK(terminate->bad()->epoch == 2);
    CHECK(terminate->bad()->batch == 3);
    CHECK(learn.optimizer->steps == 6);
    CHECK(weights(model) == parameters);
    CHECK(values_of(nn::named_buffers(model)) == buffers);
    CHECK(learn.recorder->epochs().size() == 1);
    at->batch_begin = nullptr;
    learn.fit(1);  // goes on, with nothing left of the bad batch
    CHECK(!terminate->bad());
    CHECK(std::isfinite(learn.recorder->epochs().back().valid_loss));
  }
}

TEST_CASE("top_k_accuracy: k = 1 is accuracy, ties go to the lower class, nan is behind all") {
  const Tensor output = Tensor::from({5.f, 4.f, 3.f,             // class 2 is third
                                      1.f, 1.f, 1.f,             // ties: class 1 is second
                                      not_a_number, 0.f, 1.f,    // class 0 is last
                                      0.f, not_a_number, -1.f},  // class 2 is second
                                     {4, 3});
  const Tensor target = Tensor::from<std::int32_t>({2, 1, 0, 2}, {4});
  CHECK(top_k_accuracy(1).mean(output, target) == 0);
  CHECK(top_k_accuracy(2).mean(output, target) == 0.5);
  CHECK(top_k_accuracy(3).mean(output, target) == 1);
  const Tensor dense = one_hot(target, 3);
  CHECK(top_k_accuracy(2).mean(output, dense) == 0.5);
  Random random(1);
  std::vector<float> values;
  for (int i = 0; i < 300; ++i) values.push_back(std::floor(static_cast<float>(4 * random.uniform())));  // many ties
  const Tensor many = Tensor::from(values, {100, 3});
  const Tensor classes = argmax(Tensor::from(std::vector<float>(values.rbegin(), values.rend()), {100, 3}), 1);
  CHECK(top_k_accuracy(1).mean(many, classes) == accuracy_of(many, classes));
}

TEST_CASE("top_k_accuracy: its name has k in it, and a bad k or class is refused") {
  CHECK(top_k_accuracy(5).name == "top_5_accuracy");
  CHECK_THROWS_WITH_AS(top_k_accuracy(0), "top_k_accuracy: k = 0", Error);
  const Tensor output = Tensor::zeros({1, 3});
  CHECK_THROWS_WITH_AS(top_k_accuracy(4).mean(output, Tensor::from<std::int32_t>({0}, {1})),
                       "top_4_accuracy: there are 3 classes", Error);
  for (const std::int32_t bad : {-1, 3}) {
    const Tensor target = Tensor::from<std::int32_t>({bad}, {1});
    CHECK_THROWS_WITH_AS(top_k_accuracy(2).mean(output, target), doctest::Contains("top_2_accuracy: class "), Error);
    CHECK_THROWS_WITH_AS(accuracy_of(output, target), doctest::Contains("accuracy: class "), Error);
  }
}

TEST_CASE("confusion matrix: rows are true classes, columns predicted ones, and mistakes come by count") {
  // The outputs are the data: one-hot rows of the predicted classes.
  const std::vector<std::int32_t> actual{0, 0, 0, 1, 1, 2, 2, 2, 2}, predicted{0, 1, 1, 1, 0, 0, 0, 0, 2};
  const Tensor x = one_hot(Tensor::from(predicted, {9}), 3), y = Tensor::from(actual, {9});
  Learner learn(loaders(x, y, 2, {"cat", "dog", "a long name"}), Identity(), quiet());
  const Tensor matrix = confusion_matrix(learn);
  CHECK(matrix.to_vector<std::int32_t>() == std::vector<std::int32_t>{1, 2, 0, 1, 1, 0, 3, 0, 1});
  CHECK(most_confused(matrix) == std::vector<Confusion>{{2, 0, 3}, {0, 1, 2}, {1, 0, 1}});
  CHECK(most_confused(matrix, 2) == std::vector<Confusion>{{2, 0, 3}, {0, 1, 2}});
  std::ostringstream text;
  print_confusion_matrix(text, matrix, learn.data.classes());
  CHECK(text.str() ==
        "true \\ predicted          cat          dog  a long name\n"
        "cat                         1            2            0\n"
        "dog                         1            1            0\n"
        "a long name                 3            0            1\n");
  std::ostringstream numbered;
  print_confusion_matrix(numbered, matrix, {});
  CHECK(numbered.str().starts_with("true \\ predicted  0  1  2\n"));
  CHECK_THROWS_WITH_AS(most_confused(x), doctest::Contains("must be i32 [C, C]"), Error);
}

TEST_CASE("mixed accuracy: lambda for the one class and 1 - lambda for the other, plain accuracy otherwise") {
  const Tensor output = one_hot(Tensor::from<std::int32_t>({0, 1, 2, 1}, {4}), 3);
  const Tensor y = Tensor::from<std::int32_t>({0, 0, 0, 1}, {4}),
               partner = Tensor::from<std::int32_t>({1, 1, 1, 1}, {4});
  const Tensor lambda = Tensor::from({0.75f, 0.75f, 0.75f, 0.5f}, {4});
  // the first class; the second; neither; both
  CHECK(mixed_accuracy_of(output, MixedTarget{y, partner, lambda}) == (0.75 + 0.25 + 0 + 1) / 4);
  CHECK(mixed_accuracy_of(output, MixedTarget{one_hot(y, 3), one_hot(partner, 3), lambda}) == 0.5);
  CHECK(mixed_accuracy_of(output, y) == accuracy_of(output, y));
  CHECK(mixed_accuracy_of(output, one_hot(y, 3)) == accuracy_of(output, y));
  CHECK(mixed_accuracy.name != "accuracy");
  CHECK_THROWS_AS(mixed_accuracy_of(output, MixedTarget{y, partner, Tensor::ones({3})}), Error);
}

TEST_CASE("train metrics: the mean over an epoch's training samples, in the records, the CSV file and the state") {
  const TemporaryFolder folder;
  LearnerOptions options = quiet();
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
    sum += mixed_accuracy_of(learner.output, learner.target) * static_cast<double>(learner.output.size(0));
  };
  at->validate_begin = [&](Learner&) { expected.push_back(sum / 20); };
  learn.mixup().add(at).add(std::make_shared<CsvLogger>(folder / "log.csv")).fit(3);
  REQUIRE(learn.recorder->epochs().size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(learn.recorder->epochs()[i].train_metrics == std::vector{expected[i]});
  std::ifstream file(folder / "log.csv");
  std::string header;
  std::getline(file, header);
  CHECK(header == "epoch,train_loss,mixed_accuracy,valid_loss,accuracy,seconds,images_per_s");

  Memory memory;
  learn.recorder->state(memory, learn);
  Learner other(points(20), nn::Linear(2, 2), options);
  other.mixup().fit(1);
  memory.loading = true;
  other.recorder->state(memory, other);
  REQUIRE(other.recorder->epochs().size() == 3);
  CHECK(other.recorder->epochs()[2].train_metrics == std::vector{expected[2]});
  CHECK(other.recorder->epochs()[2].metrics == learn.recorder->epochs()[2].metrics);
}

TEST_CASE("top losses: the largest first, by their place in the data even when validation shuffles; nan above all") {
  const Tensor x = Tensor::from({3.f, 0.f, 0.f, 1.f, 0.f, 5.f, not_a_number, 0.f, 2.f, 0.f}, {5, 2});
  const Tensor y = Tensor::from<std::int32_t>({0, 0, 0, 1, 1}, {5});
  const auto samples = std::make_shared<Samples>(x, y, std::vector<std::string>{"left", "right"});
  const data::DataLoader shuffled(samples, {.batch_size = 2, .shuffle = true, .drop_last = true, .seed = 9});
  Learner learn({shuffled, shuffled}, Identity(), quiet());
  const auto top = top_losses(learn, 4);
  REQUIRE(top.size() == 4);
  CHECK(top[0].index == 3);
  CHECK(std::isnan(top[0].loss));
  const std::array<std::int64_t, 3> order{2, 4, 1};
  for (std::size_t i = 0; i < 3; ++i) CHECK(top[i + 1].index == order[i]);
  CHECK(top[1].loss == doctest::Approx(5 + std::log1p(std::exp(-5.0))).epsilon(1e-6));  // rounding to f32
  CHECK(top[1].target == 0);
  CHECK(top[1].predicted == 1);
  CHECK(top[1].probability == doctest::Approx(1 / (1 + std::exp(-5.0))).epsilon(1e-6));
  CHECK(top_losses(learn, 99).size() == 5);
  CHECK(top_losses(learn, 0).empty());
  CHECK_THROWS_AS(top_losses(learn, -1), Error);
}

TEST_CASE("show_batch: images side by side, dark to bright, with their classes below") {
  std::vector<float> pixels;
  for (int image = 0; image < 4; ++image)
    for (int row = 0; row < 4; ++row)
      for (int column = 0; column < 4; ++column) pixels.push_back(column < 2 ? 0.f : image == 3 ? not_a_number : 1.f);
  const data::Batch batch{Tensor::from(pixels, {4, 4, 4, 1}), Tensor::from<std::int32_t>({0, 1, 0, 1}, {4})};
  std::ostringstream text;
  show_batch(text, batch, {"left", "a name far too long for its column"}, 9);
  const std::string space(24, ' ');
  CHECK(text.str() == "  @@" + space.substr(2) + "  @@" + space.substr(2) + "  @@\n" +  //
                          "  @@" + space.substr(2) + "  @@" + space.substr(2) + "  @@\n" + "left" + space.substr(2) +
                          "a name far too long for   left\n\n" +  //
                          "\n\na name far too long for\n\n");
}

TEST_CASE("show_batch: any size of image stays within 80 columns and 24 lines, and what is no image is refused") {
  const auto shown = [](const Shape& shape, std::int64_t n = 9) {
    std::ostringstream text;
    show_batch(text, {Tensor::full(shape, 0.5), Tensor::zeros({shape[0]}, {.dtype = DType::i32})}, {}, n);
    return text.str();
  };
  for (const Shape& shape : {Shape{3, 1, 1, 1}, Shape{5, 300, 2, 3}, Shape{4, 2, 300, 3}, Shape{3, 224, 224, 3}}) {
    std::istringstream lines(shown(shape));
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) CHECK(line.size() <= 80);
    CHECK(count <= 2 * (24 + 2));
    CHECK(count >= 3);
  }
  CHECK(shown({2, 4, 4, 1}, 0).empty());
  CHECK_THROWS_AS(shown({2, 4, 4, 1}, -1), Error);
  CHECK_THROWS_AS(shown({2, 4, 4}), Error);
  CHECK_THROWS_AS(shown({2, 0, 4, 1}), Error);
}

TEST_CASE("show_top_losses: the worst image first, with what it was taken for") {
  // Images of 1 x 2 pixels that are their own logits.
  struct Pixels : Identity {
    Tensor forward(const Tensor& x) override { return Identity::forward(flatten(x)); }
  };
  const Tensor x = Tensor::from({1.f, 0.f, 0.f, 1.f}, {2, 1, 2, 1}), y = Tensor::from<std::int32_t>({0, 0}, {2});
  Learner learn(loaders(x, y), Pixels(), quiet());
  std::ostringstream text;
  show_top_losses(text, learn, 1);
  CHECK(text.str() == " @\nleft as right (0.731)\nloss 1.313  #1\n\n");
}

TEST_CASE("profile callback: writes one table for each fit, however it ends") {
  std::ostringstream text;
  Learner learn(points(16), nn::Linear(2, 2), quiet());
  const auto at = std::make_shared<At>();
  learn.add(std::make_shared<ProfileCallback>(text)).add(at);
  learn.fit(1);
  const std::string first = text.str();
  CHECK(first.find("sgd_step") != std::string::npos);
  at->backward_end = [](Learner&) { fail("in the middle"); };
  CHECK_THROWS_AS(learn.fit(1), Error);
  CHECK(text.str().size() > first.size());
  CHECK(text.str().find("sgd_step", first.size()) == std::string::npos);  // the second table counts the second fit
}
