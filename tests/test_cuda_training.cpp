// Training on the GPU. On a machine without one the kernels run in the executor of tests/cuda_executor.
#include <doctest/doctest.h>

#ifdef MIXGRAD_WITH_CUDA

#include <cmath>
#include <sstream>
#include <utility>

#include "core/graph.h"
#include "cuda_training.h"
#include "error.h"
#include "optional.h"
#include "temporary_folder.h"

using namespace mixgrad;
using namespace mixgrad::test;
using train::Learner;
using train::LearnerOptions;

TEST_CASE("cuda: a Learner trains there as on the CPU, with mixup, batch norm and dropout") {
  const auto train_on = [](Device device) {
    manual_seed(7);
    nn::Sequential model = small_model();
    train::LearnerOptions options = quiet();
    options.device = device;
    train::Learner learn(digits(40, {.batch_size = 16, .shuffle = true}, true), model, options);
    learn.mixup().fit(2);
    const train::Validation validation = learn.validate();
    std::vector<double> result{learn.recorder->smoothed_loss(), validation.loss, validation.metrics[0]};
    for (const float weight : weights(model)) result.push_back(weight);
    for (const float value : values_of(nn::named_buffers(model))) result.push_back(value);
    return result;
  };
  // Adam's first steps are as long for the smallest gradient as for a large one, so they magnify roundings; a bias
  // before batch norm, whose gradient is nothing but roundings, would walk anywhere.
  CHECK(relative_error(in_every_order([&] { return train_on(cuda); }), train_on(cpu)) <= 1e-3);
}

TEST_CASE("cuda: test-time augmentation gives the outputs of the CPU") {
  manual_seed(7);
  nn::Sequential model = small_model();
  const data::DataLoader loader = digits(19, four_batches(), true).valid;
  const auto outputs = [&](Device device, double share) {
    model.to(device);
    const train::TtaOptions options{.views = train::airbench_views(), .unsure_share = share};
    std::vector<double> all;
    for (const Tensor& of_all :
         {train::predict(model, loader.to(device), options, device).output,
          train::predict(model, loader.dataset().get(loader.epoch(0).indices(0)).x.to(device), options)})
      for (const float value : of_all.to_vector<float>()) all.push_back(value);
    return all;
  };
  CHECK(relative_error(in_every_order([&] { return outputs(cuda, 0.3); }), outputs(cpu, 0.3)) <= 1e-5);
}

TEST_CASE("cuda: print shows a model that is there") {
  std::ostringstream here, there;
  nn::Sequential model = small_model();
  nn::print(here, model, {1, 14, 14, 3});
  model.to(cuda);
  nn::print(there, model, {1, 14, 14, 3});
  CHECK(there.str() == here.str());
}

TEST_CASE("cuda: SGD steps as on the CPU") {
  const auto train_on = [](Device device) {
    manual_seed(7);
    nn::Sequential model{nn::Flatten(), nn::Linear(28 * 28 * 3, 2)};
    train::LearnerOptions options = quiet();
    options.device = device;
    options.optimizer = train::sgd({.momentum = 0.9, .nesterov = true, .weight_decay = 0.1});
    train::Learner learn(digits(40), model, options);
    learn.fit(1);
    const auto all = weights(model);
    return std::vector<double>(all.begin(), all.end());
  };
  CHECK(relative_error(in_every_order([&] { return train_on(cuda); }), train_on(cpu)) <= 1e-5);
}

TEST_CASE("cuda: averages of many tensors follow them as on the CPU, to the bit where nothing is due") {
  struct Many : nn::Module {
    Many() {
      Random random(3);
      for (std::int64_t i = 0; i < 70; ++i) {
        std::vector<float> values(i == 3 ? 70000 : static_cast<std::size_t>(1 + i));
        for (float& value : values) value = static_cast<float>(random.uniform());
        all.push_back(Tensor::from(values, {std::ssize(values)}));
      }
      all.push_back(Tensor::full({5}, HUGE_VAL));
    }
    void visit(nn::Visitor& visitor) override {
      for (std::size_t i = 0; i < all.size(); ++i) visitor.buffer(std::to_string(i), all[i]);
    }
    std::string name() const override { return "Many"; }
    std::vector<Tensor> all;
  };
  const auto after = [](Device device, float rate, float back) {
    Many model;
    model.to(device);
    const train::AveragedWeights average(model);
    for (const Tensor& tensor : model.all) tensor.copy_(tensor * 1.5);
    average.update(Tensor::from({rate, back}, {2}).to(device));
    std::vector<double> all;
    for (int i = 0; i < 2; ++i) {
      for (const float value : weights(model)) all.push_back(value);
      average.swap();
    }
    return all;
  };
  Many before;
  const auto first = weights(before);
  for (const auto& [rate, back] : {std::pair{0.0f, 0.0f}, {0.25f, 1.0f}, {1.0f, 0.0f}}) {
    const auto here = after(cpu, rate, back), there = after(cuda, rate, back);
    CHECK(relative_error(there, here) <= 1e-7);  // a multiplication and an addition may be one
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < first.size(); ++i) {
      const double weight = there[i], average = there[first.size() + i], moved = first[i] * 1.5f;
      wrong += rate == 0 && average != first[i];
      wrong += rate == 1 && average != moved;
      wrong += back == 0 ? weight != moved : !std::isnan(average) && weight != average;
    }
    CHECK(wrong == 0);
  }
}

TEST_CASE("cuda: a loss that is not finite stops training, at its batch, with the weights of before") {
  struct Spoil : train::StepCallback {  // the batch of this number in this epoch
    Spoil(int epoch, std::int64_t number) : epoch(epoch), number(number) {}
    void on_epoch_begin(Learner& learner) override { before = weights(*learner.model); }
    void on_batch_plan(Learner& learner, train::BatchPlan& plan) override {
      const bool spoils = learner.epoch == epoch && plan.batch == number;
      plan.values["scale"] = std::vector{spoils ? std::nanf("") : 1.0f};
    }
    void on_batch_begin(Learner& learner) override { learner.input = learner.x() * learner.planned("scale"); }
    train::StepWork step_work() const override { return train::StepWork::same; }
    int epoch;
    std::int64_t number;
    std::vector<float> before;
  };
  for (const bool capture : {false, true})
    for (const auto& [epoch, bad] : {std::pair{0, 0}, {0, 2}, {1, 1}}) {
      OnDevice training(on_cuda(capture));
      const auto terminate = std::make_shared<train::TerminateOnNan>();
      const auto spoil = std::make_shared<Spoil>(epoch, bad);
      training.learn.add(terminate).add(spoil).fit(3);
      REQUIRE(terminate->bad().has_value());
      CHECK(terminate->bad()->epoch == epoch + 1);
      CHECK(terminate->bad()->batch == bad + 1);
      CHECK(weights(training.model) == spoil->before);  // no losses of this epoch had been read before
      CHECK(std::ssize(training.learn.recorder->epochs()) == epoch);
    }
}

#ifdef MIXGRAD_CUDA_EXECUTOR

TEST_CASE("cuda: training that runs out of memory leaves the model as it was, and can be begun again") {
  for (const bool capture : {false, true}) {
    CAPTURE(capture);
    OnDevice spoilt(on_cuda(capture), false, 0), untroubled(on_cuda(capture), false, 0);
    const auto before = weights(spoilt.model);
    release_cache(cuda);
    const std::size_t held = allocator_stats(cuda).bytes_in_use;
    const std::size_t memory = std::exchange(executor::machine.memory, held + (std::size_t{16} << 10));
    const std::string text = error_of([&] { spoilt.learn.mixup().fit(1); });
    executor::machine.memory = memory;
    check_contains(text, "out of memory: tried to allocate ");
    check_contains(text, " are in use");
    CHECK(weights(spoilt.model) == before);
    spoilt.learn.fit(2);
    untroubled.learn.mixup().fit(2);
    CHECK(same(result_of(spoilt.learn), result_of(untroubled.learn)));
  }
}

#endif

#endif
