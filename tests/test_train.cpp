// The Learner, its callbacks and MixUpCallback.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <fstream>

#include "mixgrad.h"
#include "tests/count_new.h"
#include "tests/temporary_folder.h"

using namespace mixgrad;
using namespace mixgrad::train;
using augment::MixedInput;
using augment::MixedTarget;
using test::TemporaryFolder;

namespace {

// Loaders over `count` drawn 3s and 7s, the same for training and validation.
data::DataLoaders digits(std::int64_t count, data::LoaderOptions train = {.batch_size = 16, .shuffle = true}) {
  const std::array<std::int32_t, 2> classes{3, 7};
  auto images = data::select(data::synthetic_digits(5 * count, 1, data::Split::train), classes);
  images = {slice(images.images, 0, count), slice(images.labels, 0, count)};
  const auto dataset =
      std::make_shared<data::ImageDataset>(images, std::vector<std::string>{"3", "7"}, data::ImageDatasetOptions{});
  return {data::DataLoader(dataset, train), data::DataLoader(dataset, {.batch_size = 16})};
}

LearnerOptions quiet() { return {.metrics = {accuracy}, .seed = 5, .verbose = false}; }

std::vector<float> weights(nn::Module& model) {
  std::vector<float> all;
  for (const Tensor& parameter : nn::parameters(model))
    for (const float value : parameter.detach().to_vector<float>()) all.push_back(value);
  return all;
}

std::vector<float> trained_weights(const MixUpOptions* mixup = nullptr, int epochs = 2) {
  manual_seed(5);
  auto model = nn::simple_cnn({3, 16, 16, 2});
  Learner learn(digits(70, {.batch_size = 16, .shuffle = true, .seed = 5}), model, quiet());
  if (mixup) learn.mixup(*mixup);
  learn.fit(epochs);
  return weights(model);
}

// Runs a function at one hook.
struct At : Callback {
  enum class Hook { train_begin, batch_begin, backward_begin, backward_end, batch_end, validate_begin, epoch_end };
  At(Hook hook, std::function<void(Learner&)> f) : hook(hook), f(std::move(f)) {}
  void run(Hook here, Learner& learner) {
    if (here == hook) f(learner);
  }
  void on_train_begin(Learner& learner) override { run(Hook::train_begin, learner); }
  void on_batch_begin(Learner& learner) override { run(Hook::batch_begin, learner); }
  void on_backward_begin(Learner& learner) override { run(Hook::backward_begin, learner); }
  void on_backward_end(Learner& learner) override { run(Hook::backward_end, learner); }
  void on_batch_end(Learner& learner) override { run(Hook::batch_end, learner); }
  void on_validate_begin(Learner& learner) override { run(Hook::validate_begin, learner); }
  void on_epoch_end(Learner& learner) override { run(Hook::epoch_end, learner); }
  Hook hook;
  std::function<void(Learner&)> f;
};

// Whether the learner's loss understands mixed targets just now.
bool loss_is_wrapped(Learner& learner) {
  const Tensor logits = Tensor::zeros({1, 2}), label = Tensor::from<std::int32_t>({0}, {1});
  try {
    learner.loss_function(logits, MixedTarget{label, label, Tensor::ones({1})});
    return true;
  } catch (const Error&) {
    return false;
  }
}

// A model for stacked input that keeps what it was given.
struct Stacked : nn::Module {
  nn::Sequential cnn = nn::simple_cnn({3, 4, 2});
  std::shared_ptr<std::size_t> most_inputs = std::make_shared<std::size_t>(0);
  Tensor forward(const Tensor& x) override { return forward(std::span(&x, 1)); }
  Tensor forward(std::span<const Tensor> inputs) override {
    *most_inputs = std::max(*most_inputs, inputs.size());
    if (inputs.size() == 1) return cnn(inputs[0]);
    const Tensor lambda = reshape(inputs[2], {-1, 1, 1, 1});
    return cnn(lambda * inputs[0] + (1.0 - lambda) * inputs[1]);
  }
  void visit(nn::Visitor& visitor) override { visitor.child("cnn", cnn); }
  std::string name() const override { return "Stacked"; }
};

}  // namespace

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
  learn.add(std::make_shared<At>(At::Hook::batch_begin, [&](Learner& learner) {
    if (learner.batch == 0) first_batches.push_back(std::get<Tensor>(learner.input).to_vector<float>());
  }));
  learn.fit(1);
  learn.fit(1);
  REQUIRE(first_batches.size() == 2);
  CHECK(first_batches[0] != first_batches[1]);
}

TEST_CASE("learner: hooks run in the documented order") {
  struct Log : Callback {
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
  };
  const auto log = std::make_shared<Log>();
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(log).fit(2);
  CHECK(log->text == "train(epoch(blgGsBblgGsBv)epoch(blgGsBblgGsBv))");
}

TEST_CASE("learner: stop ends after the batch, skips validation, and the table keeps whole epochs only") {
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  int batches = 0;
  learn.add(std::make_shared<At>(At::Hook::batch_end, [&](Learner& learner) {
    if (++batches == 6) learner.stop();
  }));
  learn.fit(5);
  CHECK(batches == 6);
  CHECK(learn.recorder->epochs().size() == 1);
}

TEST_CASE("learner: stopped before validation, the epoch still counts when it is validated") {
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(std::make_shared<At>(At::Hook::validate_begin, [&](Learner& learner) { learner.stop(); }));
  learn.fit(5);
  CHECK(learn.recorder->epochs().size() == 1);
}

TEST_CASE("learner: without a learning rate of its own, fit keeps the optimizer's") {
  LearnerOptions options = quiet();
  options.optimizer = sgd({.lr = 0.5});
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), options);
  learn.fit(1);
  CHECK(learn.optimizer->lr == 0.5);
  learn.fit(1, 0.25);
  CHECK(learn.optimizer->lr == 0.25);
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
  learn.add(std::make_shared<At>(At::Hook::epoch_end, [](Learner& learner) { learner.mixup({.alpha = 0.2}); }));
  CHECK_THROWS_WITH_AS(learn.fit(1), "learner: mixup() called while training", Error);
}

TEST_CASE("learner: a module whose visit() forgets a parameter is refused, not left untrained") {
  struct Forgetful : nn::Module {
    nn::Sequential cnn = nn::simple_cnn({3, 4, 2});
    Tensor scale = nn::parameter(Tensor::ones({2}));
    using Module::forward;
    Tensor forward(const Tensor& x) override { return cnn(x) * scale; }
    void visit(nn::Visitor& visitor) override { visitor.child("cnn", cnn); }
    std::string name() const override { return "Forgetful"; }
  };
  Learner learn(digits(32), Forgetful(), quiet());
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("a tensor of shape [2] requires a gradient"), Error);
}

TEST_CASE("mixup callback: a second one is refused by name, not mixed twice") {
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(std::make_shared<MixUpCallback>()).mixup();
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("mixed already"), Error);
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
  learn.add(std::make_shared<At>(At::Hook::backward_end, [&](Learner& learner) {
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
    const auto count = std::make_shared<At>(At::Hook::batch_end, [&](Learner&) {
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

TEST_CASE("recorder: train_loss is the bias-corrected moving average over the whole fit") {
  Learner learn(digits(48), nn::simple_cnn({3, 4, 2}), quiet());
  double average = 0, weight = 0;
  learn.add(std::make_shared<At>(At::Hook::batch_end, [&](Learner& learner) {
    average = 0.98 * average + 0.02 * learner.loss.item();
    weight = 0.98 * weight + 0.02;
  }));
  learn.fit(3);
  CHECK(learn.recorder->epochs().size() == 3);
  CHECK(learn.recorder->epochs().back().train_loss == doctest::Approx(average / weight).epsilon(1e-12));
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
  CHECK_THROWS_WITH_AS(CsvLogger(folder / "none/metrics.csv"), doctest::Contains("cannot write"), Error);
  if (std::filesystem::exists("/dev/full")) {
    Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
    learn.add(std::make_shared<CsvLogger>("/dev/full"));
    CHECK_THROWS_WITH_AS(learn.fit(1), "cannot write /dev/full", Error);
  }
}

TEST_CASE("learner: validation weighs batches by their size") {
  Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());  // batches of 16, 16 and 8
  const Validation validation = learn.validate();
  double loss = 0, right = 0;
  for (const data::Batch& batch : learn.data.valid.epoch(0)) {
    const Tensor output = learn.predict(batch.x);
    loss += sum(nn::cross_entropy.per_sample(output, batch.y)).item();
    right += accuracy_of(output, batch.y) * static_cast<double>(batch.size());
  }
  CHECK(validation.loss == doctest::Approx(loss / 40).epsilon(1e-6));
  CHECK(validation.metrics[0] == doctest::Approx(right / 40));
}

TEST_CASE("mixup callback: the document's parameters and defaults") {
  const MixUpOptions options;
  CHECK(options.alpha == 0.4);
  CHECK(options.stack_x == false);
  CHECK(options.stack_y == true);
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  CHECK(&learn.mixup() == &learn);  // fluent
}

TEST_CASE("mixup callback: mixes in training and never in validation") {
  Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
  learn.mixup();
  int mixed = 0, batches = 0;
  learn.add(std::make_shared<At>(At::Hook::backward_begin, [&](Learner& learner) {
    ++batches;
    mixed += std::holds_alternative<MixedTarget>(learner.target);
  }));
  learn.fit(1);
  CHECK(mixed == batches);
  CHECK(learn.validation->loss == learn.validate().loss);  // what fit reports is what a clean validation gives
}

TEST_CASE("mixup callback: every combination of its flags trains, the short last batch included") {
  for (const bool stack_x : {false, true})
    for (const bool stack_y : {false, true})
      for (const MixSource source : {MixSource::shuffled_self, MixSource::second_loader})
        for (const auto lambda_per : {augment::LambdaPer::sample, augment::LambdaPer::batch})
          for (const bool dedupe : {false, true})
            for (const auto weight : {augment::LossWeight::lambda, augment::LossWeight::batch_mean}) {
              if (!stack_y && weight == augment::LossWeight::batch_mean) continue;
              Stacked model;
              Learner learn(digits(33), model, quiet());  // batches of 16, 16 and 1
              learn.mixup({.stack_x = stack_x,
                           .stack_y = stack_y,
                           .source = source,
                           .lambda_per = lambda_per,
                           .dedupe = dedupe,
                           .loss_weight = weight});
              learn.fit(1);
              CHECK(std::isfinite(learn.recorder->epochs().back().train_loss));
              CHECK(*model.most_inputs == (stack_x ? 3 : 1));
              CHECK(!loss_is_wrapped(learn));
            }
  CHECK_THROWS_WITH_AS(MixUpCallback({.stack_y = false, .loss_weight = augment::LossWeight::batch_mean}),
                       doctest::Contains("stack_y"), Error);
}

TEST_CASE("mixup callback: with one seed, stacked and mixed inputs and targets train alike") {
  const auto losses = [](MixUpOptions options) {
    manual_seed(3);
    Learner learn(digits(64, {.batch_size = 16, .shuffle = true, .seed = 3}), Stacked(), quiet());
    learn.mixup(options).fit(2);
    return learn.recorder->epochs().back().train_loss;
  };
  const double reference = losses({});
  // 1e-4: the same numbers in exact arithmetic; eight steps of rounding in f32 lie between.
  CHECK(losses({.stack_x = true}) == doctest::Approx(reference).epsilon(1e-4));
  CHECK(losses({.stack_y = false}) == doctest::Approx(reference).epsilon(1e-4));
  CHECK(losses({.stack_x = true, .stack_y = false}) == doctest::Approx(reference).epsilon(1e-4));
}

TEST_CASE(
    "mixup callback: the loss is in place while training and back afterwards: at the end, a stop or an exception") {
  const auto run = [](std::function<void(Learner&)> in_training) {
    Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
    bool wrapped = false;
    learn.mixup().add(std::make_shared<At>(At::Hook::batch_end, [&](Learner& learner) {
      wrapped = loss_is_wrapped(learner);
      in_training(learner);
    }));
    try {
      learn.fit(2);
    } catch (const Error&) {
    }
    CHECK(wrapped);
    CHECK(!loss_is_wrapped(learn));
    CHECK(learn.predict(learn.data.valid.epoch(0)[0].x).shape() == Shape{16, 2});
    CHECK(std::isfinite(learn.validate().loss));
  };
  run([](Learner&) {});
  run([](Learner& learner) { learner.stop(); });
  run([](Learner&) { fail("in training"); });
}

TEST_CASE("mixup callback: the loss is restored even when another callback's on_train_begin throws") {
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.mixup().add(std::make_shared<At>(At::Hook::train_begin, [](Learner&) { fail("at once"); }));
  CHECK_THROWS_AS(learn.fit(1), Error);
  CHECK(!loss_is_wrapped(learn));
}

TEST_CASE("mixup callback: draws follow the seed, differ from epoch to epoch and from batch to batch") {
  const auto lambdas_of = [](std::uint64_t seed) {
    std::vector<std::vector<float>> all;
    LearnerOptions options = quiet();
    options.seed = seed;
    Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), options);
    learn.mixup().add(std::make_shared<At>(At::Hook::batch_end, [&](Learner& learner) {
      all.push_back(std::get<MixedTarget>(learner.target).lambda.to_vector<float>());
    }));
    learn.fit(2);
    return all;
  };
  const auto first = lambdas_of(1);
  CHECK(first == lambdas_of(1));
  CHECK(first != lambdas_of(2));
  REQUIRE(first.size() == 4);
  for (std::size_t i = 0; i < 4; ++i)
    for (std::size_t j = i + 1; j < 4; ++j) CHECK(first[i] != first[j]);
}

TEST_CASE("mixup callback: alpha 0 trains as without mixup, bit for bit") {
  const MixUpOptions none{.alpha = 0};
  CHECK(trained_weights(&none) == trained_weights());
}

TEST_CASE("mixup callback: a second loader brings partners from other batches, images with their labels") {
  // Where lambda is 0 the mixture is the partner itself.
  Learner learn(digits(64), nn::simple_cnn({3, 4, 2}), quiet());
  const auto all_partners = [](std::uint32_t, std::int64_t, std::int64_t n) {
    std::vector<std::int32_t> same(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < same.size(); ++i) same[i] = static_cast<std::int32_t>(i);
    return augment::MixPlan{Tensor::zeros({n}), Tensor::from(same, {n})};
  };
  bool differs = false;
  learn.mixup({.source = MixSource::second_loader, .plan = all_partners})
      .add(std::make_shared<At>(At::Hook::batch_end, [&](Learner& learner) {
        const auto expected = learner.data.train
                                  .with({.batch_size = 16,
                                         .shuffle = true,
                                         .seed = learner.data.train.options().seed,
                                         .purpose = Purpose::partner_shuffle})
                                  .epoch(learner.pass)[learner.batch];
        const auto& target = std::get<MixedTarget>(learner.target);
        CHECK(target.partner.to_vector<std::int32_t>() == expected.y.to_vector<std::int32_t>());
        // 1e-6: x + (p - x) against p, one rounding each way.
        const auto mixed = std::get<Tensor>(learner.input).to_vector<float>(), partner = expected.x.to_vector<float>();
        double worst = 0;
        for (std::size_t i = 0; i < mixed.size(); ++i) worst = std::max(worst, std::abs(double{mixed[i] - partner[i]}));
        CHECK(worst < 1e-6);
        differs |= target.y.to_vector<std::int32_t>() != target.partner.to_vector<std::int32_t>();
      }));
  learn.fit(1);
  CHECK(differs);
}

TEST_CASE("mixup callback: mixing raises the training loss and lowers the confidence, as the document says") {
  const auto run = [](bool mixup) {
    manual_seed(2);
    Learner learn(digits(256, {.batch_size = 16, .shuffle = true, .seed = 2}), nn::simple_cnn({3, 16, 16, 2}), quiet());
    if (mixup) learn.mixup();
    learn.fit(8);
    double confidence = 0;
    for (const data::Batch& batch : learn.data.valid.epoch(0))
      confidence += sum(max(exp(log_softmax(learn.predict(batch.x))), 1)).item() / 256;
    return std::pair(learn.recorder->epochs().back().train_loss, confidence);
  };
  const auto [plain_loss, plain_confidence] = run(false);
  const auto [mixed_loss, mixed_confidence] = run(true);
  CHECK(mixed_loss > plain_loss + 0.05);
  CHECK(mixed_confidence < plain_confidence);
}

TEST_CASE("loss: without MixUpLoss a mixed target is an error, not a wrong number") {
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  CHECK(!loss_is_wrapped(learn));
}

TEST_CASE("optimizer: parameters and gradients lie in one block, aligned, and survive a second optimizer") {
  nn::Linear layer(3, 2);
  const auto before = layer.weight.to_vector<float>();
  Adam first(nn::parameters(layer));
  CHECK(layer.weight.to_vector<float>() == before);
  CHECK(layer.weight.storage() == layer.bias.storage());
  CHECK(reinterpret_cast<std::uintptr_t>(layer.bias.data<float>()) % 64 == 0);
  Adam second(nn::parameters(layer));
  CHECK(layer.weight.to_vector<float>() == before);
  second.step();
  CHECK_THROWS_WITH_AS(first.step(), doctest::Contains("another optimizer"), Error);
}

TEST_CASE("optimizer: refuses what it cannot train") {
  CHECK_THROWS_AS(Adam(std::vector<Tensor>{}), Error);
  CHECK_THROWS_AS(Adam(std::vector{Tensor::zeros({2})}), Error);
  CHECK_THROWS_AS(Sgd(std::vector{nn::parameter(Tensor::zeros({2}))}, {.nesterov = true}), Error);
}

TEST_CASE("accuracy: of index and dense targets, and errors by name") {
  const Tensor output = Tensor::from({0.9f, 0.1f, 0.2f, 0.8f, 0.6f, 0.4f}, {3, 2});
  CHECK(accuracy_of(output, Tensor::from<std::int32_t>({0, 1, 1}, {3})) == doctest::Approx(2.0 / 3));
  CHECK(accuracy_of(output, output) == 1.0);
  CHECK_THROWS_WITH_AS(accuracy_of(output, Tensor::zeros({4})), doctest::Contains("accuracy"), Error);
}
