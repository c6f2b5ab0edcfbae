// The step captured as a CUDA graph: the same bits as kernels that are launched one by one.
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

TEST_CASE("graph: a replay runs the captured kernels again, on what the memory holds then") {
  const Tensor x = Tensor::full({1000}, 1, {.device = cuda}), y = Tensor::zeros({1000}, {.device = cuda});
  const Graph graph([&] { y.copy_(y + x * 2.0); });
  CHECK(y.to_vector<float>() == std::vector<float>(1000, 0));  // nothing has run yet
  graph.replay();
  CHECK(y.to_vector<float>() == std::vector<float>(1000, 2));
  x.fill_(5);
  graph.replay();
  CHECK(y.to_vector<float>() == std::vector<float>(1000, 12));
}

TEST_CASE("graph: its memory is nobody else's while it lives, and anybody's afterwards") {
  const Tensor x = Tensor::full({1000}, 3, {.device = cuda});
  Tensor y;
  std::size_t held = 0;
  {
    const Graph graph([&] { y = x * x + x; });
    std::vector<Tensor> others;
    for (int i = 0; i < 4; ++i) others.push_back(Tensor::full({1000}, i, {.device = cuda}));
    graph.replay();
    for (int i = 0; i < 4; ++i)
      CHECK(others[static_cast<std::size_t>(i)].to_vector<float>() == std::vector<float>(1000, static_cast<float>(i)));
    held = allocator_stats(cuda).bytes_in_use;
  }
  CHECK(y.to_vector<float>() == std::vector<float>(1000, 12));  // what came out of it stays
  y = Tensor();
  release_cache(cuda);
  CHECK(allocator_stats(cuda).bytes_cached == 0);
  CHECK(allocator_stats(cuda).bytes_in_use < held);
}

TEST_CASE("graph: what must wait for the device, or reads the host, is refused; nothing of it is captured") {
  const Tensor x = Tensor::full({10}, 3, {.device = cuda});
  CHECK_THROWS_WITH_AS(Graph([&] { x.to(cpu); }),
                       "download: the host cannot wait for the device inside a captured step", Error);
  CHECK_THROWS_WITH_AS(Graph([&] { Tensor::ones({3}).to(cuda); }),
                       "upload: host memory cannot be read inside a captured step", Error);
  CHECK(sum(x).item() == 30);  // the stream is as it was
}

TEST_CASE("captured steps: the same bits as plain launches, with mixup, batch norm, dropout and a short last batch") {
  check_captured_is_plain([](Learner& learn) { learn.mixup().fit(2); });
}

TEST_CASE("captured steps: the same bits as plain launches, with planned transforms and CutMix, or a second loader") {
  for (const auto source : {train::MixSource::shuffled_self, train::MixSource::second_loader})
    check_captured_is_plain([&](Learner& learn) {
      learn.add(std::make_shared<train::TransformCallback>(
          std::vector{data::random_crop({.padding = 2, .border = data::Border::reflect}),
                      data::horizontal_flip({.alternating = true}), data::cutout({.size = 3}),
                      data::brightness_contrast({.brightness = 0.1, .contrast = 0.2})}));
      learn.cutmix({.source = source}).fit(2);
    });
}

TEST_CASE("captured steps: the same bits as plain launches, with each relative of mixup") {
  SUBCASE("mixup or CutMix, off in the end") {
    check_captured_is_plain([](Learner& learn) { learn.mixup_or_cutmix({.off_from = 3.5}).fit(4); });
  }
  SUBCASE("manifold mixup, a graph for each layer") {
    check_captured_is_plain([](Learner& learn) { learn.manifold_mixup().fit(4); });
  }
  SUBCASE("RegMixup") {
    check_captured_is_plain([](Learner& learn) { learn.reg_mixup({.eta = 0.5}).fit(2); });
  }
  SUBCASE("half of the samples, flipped") {
    check_captured_is_plain(
        [](Learner& learn) { learn.mixup({.probability = 0.5, .pairing = augment::Pairing::flip}).fit(2); });
  }
}

TEST_CASE("captured steps: the same bits as plain launches, with C-Mixup of numbers in the device's memory") {
  manual_seed(2);
  const Tensor x = nn::fan_in_uniform({20, 3}, 3), y = sum(x * x, {1}, {.keepdim = true});
  const auto rows = std::make_shared<data::TensorDataset>(x, y);
  const auto train_with = [&](bool capture) {
    manual_seed(1);
    nn::Sequential model(nn::Linear(3, 8), nn::ReLU(), nn::Linear(8, 1));
    train::LearnerOptions options = on_cuda(capture);
    options.loss = nn::mse;
    options.metrics = {};
    options.train_metrics = {};
    Learner learn({{rows, {.batch_size = 8, .shuffle = true}}, {rows, {.batch_size = 8}}}, model, options);
    learn.c_mixup({.bandwidth = 0.2}).fit(2);
    CHECK(learn.recorder->obstacle() == "");
    std::vector<double> result{learn.validation->loss};
    for (const float weight : weights(model)) result.push_back(weight);
    return result;
  };
  const auto captured = in_every_order([&] { return train_with(true); });
  CHECK(same(captured, train_with(false)));
}

TEST_CASE("captured steps: a graph for each kind of step, where plans are of one or another") {
  struct Either : train::Callback {  // mixup, CutMix or neither
    void on_batch_plan(Learner&, train::BatchPlan& plan) override {
      const auto k = (plan.batch + plan.pass) % 3;
      if (k == 0) return;
      Random random(1, Purpose::mixup, plan.pass, static_cast<std::uint32_t>(plan.batch));
      const std::shared_ptr<const augment::PairMix> mix =
          k == 1 ? std::shared_ptr<const augment::PairMix>(std::make_shared<augment::MixUp>())
                 : std::make_shared<augment::CutMix>();
      plan.mix = {.mix = mix, .plan = mix->draw(plan.shape, random), .stack_y = false};
    }
  };
  check_captured_is_plain([](Learner& learn) {
    learn.loss_function = [](const Tensor& output, const augment::Target& target) {
      return nn::cross_entropy(output, std::get<Tensor>(target));
    };
    learn.add(std::make_shared<Either>()).fit(4);
  });
}

TEST_CASE(
    "captured steps: partners from the batch and from elsewhere, and more values or fewer, are steps of their own") {
  struct Partners : train::Callback {  // behind a transform: else both gather them by their indices in the data
    void on_batch_plan(Learner&, train::BatchPlan& plan) override {
      const auto mix = std::make_shared<augment::MixUp>();
      Random random(1, Purpose::mixup, plan.pass, static_cast<std::uint32_t>(plan.batch));
      plan.mix = {.mix = mix, .plan = mix->draw(plan.shape, random)};
      if (plan.batch % 2 == 1) plan.mix->partners = plan.mix->plan.permutation;
      plan.values["as many as"] = std::vector<float>(1 + plan.pass % 2);
    }
  };
  check_captured_is_plain([](Learner& learn) {
    learn.loss_function = augment::MixUpLoss(nn::cross_entropy);
    learn.add(std::make_shared<train::TransformCallback>(std::vector{data::horizontal_flip()}));
    learn.add(std::make_shared<Partners>()).fit(2);
  });
}

TEST_CASE("captured steps: a plain function that a plan brings is not captured either: it draws for each batch") {
  struct Brings : train::Callback {
    void on_batch_plan(Learner&, train::BatchPlan& plan) override {  // behind a transform that is planned
      plan.transforms.push_back({data::horizontal_flip(), std::vector(plan.indices.size(), 1.0f), Random(1)});
      plan.transforms.push_back({[](const Tensor& x, Random& random) { return x * random.uniform(); },
                                 {},
                                 Random(1, Purpose::transform, plan.pass, static_cast<std::uint32_t>(plan.batch))});
    }
  };
  check_captured_is_plain([](Learner& learn) { learn.add(std::make_shared<Brings>()).fit(2); },
                          "a transform is a plain function of a batch");
}

TEST_CASE(
    "captured steps: both ways of stacking targets are steps of their own; steps of too many kinds are not captured") {
  struct Changes : train::Callback {
    explicit Changes(bool alpha) : alpha(alpha) {}
    void on_batch_plan(Learner&, train::BatchPlan& plan) override {
      const auto mix = std::make_shared<augment::MixUp>(augment::MixOptions{.alpha = alpha ? 0.1 * ++planned : 0.4});
      Random random(1, Purpose::mixup, plan.pass, static_cast<std::uint32_t>(plan.batch));
      plan.mix = {.mix = mix, .plan = mix->draw(plan.shape, random), .stack_y = alpha || plan.batch % 2 == 0};
    }
    bool alpha;
    int planned = 0;
  };
  for (const bool alpha : {false, true})
    check_captured_is_plain(
        [&](Learner& learn) {
          learn.loss_function = augment::MixUpLoss(nn::cross_entropy);
          learn.add(std::make_shared<Changes>(alpha)).fit(alpha ? 5 : 2);
        },
        alpha ? "steps are of more than 16 kinds" : "");
}

TEST_CASE("captured steps: none is run once training is stopped, and rates grow from batch to batch in lr_find") {
  struct StopsInSecondEpoch : train::Callback {
    void on_epoch_begin(Learner& learner) override {
      if (learner.epoch == 1) learner.stop();
    }
    void on_batch_end(Learner&) override { ++batches; }
    int batches = 0;
  };
  OnDevice training(on_cuda());
  const auto stops = std::make_shared<StopsInSecondEpoch>();
  training.learn.add(stops).fit(3);
  CHECK(stops->batches == 5);

  OnDevice other(on_cuda());
  const train::LrCurve curve = train::lr_find(other.learn, {.from = 1e-5, .to = 1e-2, .steps = 20});
  REQUIRE(curve.lr.size() == 20);
  for (std::size_t i = 1; i < 20; ++i) CHECK(curve.lr[i] > curve.lr[i - 1]);
  CHECK(curve.lr.back() == doctest::Approx(1e-2));
}

TEST_CASE("captured steps: a plain function of a batch is not captured, and the learner says why") {
  OnDevice training(on_cuda());
  training.learn.add(std::make_shared<train::TransformCallback>(
      std::vector<data::Transform>{[](const Tensor& x, Random&) { return x * 0.5; }}));
  training.learn.fit(1);
  CHECK(training.learn.recorder->obstacle() == "mixgrad::train::TransformCallback takes part in the step");
}

TEST_CASE("captured steps: the same bits as plain launches, without mixup, in one cycle, with clipping") {
  check_captured_is_plain([](Learner& learn) {
    learn.add(std::make_shared<train::GradientClip>(0.5));
    learn.fit_one_cycle(2, 1e-2);
    learn.fit(1);  // and on
  });
}

TEST_CASE("captured steps: the same bits as plain launches, with rules of their own, Muon too, for 1.7 epochs") {
  const auto train_with = [&](bool capture) {
    LearnerOptions options = on_cuda(capture);
    options.optimizer = train::sgd({.lr = 0.1, .momentum = 0.9, .nesterov = true});
    options.groups = [](nn::Module& model) -> train::ParameterGroups {
      const auto every_third = [](std::int64_t step) { return step % 3 == 0; };
      train::ParameterGroup matrices{.parameters = {}, .rule = train::muon({.normalises = every_third})}, vectors{};
      for (const Tensor& parameter : nn::parameters(model))
        (parameter.rank() > 1 ? matrices : vectors).parameters.push_back(parameter);
      return std::vector{matrices, vectors};
    };
    OnDevice training(options);
    training.learn.add(std::make_shared<train::LrSchedule>(train::linear(0.1, 0)));
    training.learn.add(std::make_shared<train::LrSchedule>(train::linear(0, 0.1), train::constant(0.5), 1));
    training.learn.fit(1.7);
    CHECK(training.learn.recorder->obstacle() == "");
    return result_of(training.learn);
  };
  CHECK(same(in_every_order([&] { return train_with(true); }), train_with(false)));
}

TEST_CASE("captured steps: the same bits as plain launches, with lookahead, an average of the weights, and freezing") {
  check_captured_is_plain([](Learner& learn) {
    learn.add(std::make_shared<train::Lookahead>(train::LookaheadOptions{.every = 3, .first_epoch = 1}))
        .add(std::make_shared<train::WeightAverage>(train::WeightAverageOptions{.decay = 0.7, .warm_up = true}))
        .add(std::make_shared<train::FreezeAfter>(std::vector{nn::parameters(*learn.model).front()}, 1));
    learn.fit(2, 1e-2);
    learn.fit(1);
  });
}

TEST_CASE("captured steps: the same bits as plain launches where layers are frozen, and unfrozen between fits") {
  for (const auto& optimizer : {train::sgd({.momentum = 0.9, .weight_decay = 0.1}), train::adamw()}) {
    const auto train_with = [&](bool capture) {
      LearnerOptions options = on_cuda(capture);
      options.optimizer = optimizer;
      OnDevice training(options);
      nn::Module& convolution = training.model[0];
      const auto at_first = weights(convolution);
      for (const Tensor& parameter : nn::parameters(convolution)) parameter.requires_grad_(false);
      training.learn.add(std::make_shared<train::GradientClip>(0.5)).fit(1);
      CHECK(training.learn.recorder->obstacle() == "");
      CHECK(weights(convolution) == at_first);
      for (const Tensor& parameter : nn::parameters(convolution)) parameter.requires_grad_();
      training.learn.fit(1);
      CHECK(weights(convolution) != at_first);
      return result_of(training.learn);
    };
    const auto captured = in_every_order([&] { return train_with(true); });
    CHECK(same(captured, train_with(false)));
  }
}

TEST_CASE("captured steps: the same bits as plain launches, for every way of mixing") {
  for (const train::MixUpOptions& options :
       {train::MixUpOptions{.stack_x = false, .stack_y = false, .source = train::MixSource::shuffled_self},
        {.stack_x = false, .stack_y = true, .source = train::MixSource::second_loader},
        {.stack_x = true, .stack_y = true, .source = train::MixSource::shuffled_self},
        {.stack_x = true, .stack_y = false, .source = train::MixSource::second_loader}}) {
    CAPTURE(options.stack_x);
    CAPTURE(options.stack_y);
    struct Stacked : nn::Module {  // mixes by itself
      nn::Sequential model = small_model();
      Tensor forward(const Tensor& x) override { return model(x); }
      Tensor forward_many(std::span<const Tensor> inputs) override {
        return model(augment::mix({inputs[0], inputs[1], inputs[2]}));
      }
      void visit(nn::Visitor& visitor) override { visitor.child("model", model); }
      std::string name() const override { return "Stacked"; }
    };
    const auto train_with = [&](bool capture) {
      manual_seed(7);
      Learner learn(digits(samples, four_batches(), true), Stacked(), on_cuda(capture));
      learn.mixup(options).fit(2);
      return result_of(learn);
    };
    CHECK(same(train_with(true), train_with(false)));
  }
}

TEST_CASE("captured steps: the same bits as plain launches, in an epoch that is planned in several parts") {
  const auto train_with = [&](bool capture) {
    manual_seed(7);
    Learner learn(digits(200, {.batch_size = 2, .shuffle = true}, true),
                  nn::Sequential(nn::GlobalAvgPool(), nn::Flatten(), nn::Dropout(0.25), nn::Linear(3, 2)),
                  on_cuda(capture));
    learn.mixup().fit_one_cycle(2, 1e-2);
    return result_of(learn);
  };
  CHECK(same(train_with(true), train_with(false)));
}

TEST_CASE("captured steps: after each batch, the rate and the momentum are those that it was trained with") {
  struct Rates : train::Callback {
    void on_batch_end(Learner& learner) override {
      all.insert(all.end(), {learner.optimizer->rates.front().lr, learner.optimizer->rates.front().momentum});
    }
    std::vector<double> all;
  };
  const auto rates = [](bool capture) {
    OnDevice training(on_cuda(capture));
    const auto rates = std::make_shared<Rates>();
    training.learn.add(rates).fit_one_cycle(2, 1e-2);
    CHECK(training.learn.recorder->obstacle() == "");
    return rates->all;
  };
  CHECK(same(rates(true), rates(false)));
}

TEST_CASE("captured steps: one that takes part in the step and cannot be captured is named, and training goes on") {
  const auto why = [](auto prepare) {
    OnDevice training(on_cuda());
    prepare(training.learn);
    training.learn.fit(1);
    CHECK(training.learn.recorder->epochs().size() == 1);
    return training.learn.recorder->obstacle();
  };
  CHECK(why([](Learner& learn) { learn.mixup(); }) == "");
  check_contains(why([](Learner& learn) { learn.add(std::make_shared<train::AccumulateGradients>(2)); }),
                 "mixgrad::train::AccumulateGradients takes part in the step");
  struct Reads : train::StepCallback {  // says that it can be captured
    void on_backward_begin(Learner& learner) override { loss += learner.loss.item(); }
    train::StepWork step_work() const override { return train::StepWork::same; }
    double loss = 0;
  };
  check_contains(why([](Learner& learn) { learn.add(std::make_shared<Reads>()); }),
                 "download: the host cannot wait for the device inside a captured step");
}

TEST_CASE("captured steps: where capturing fails, training is what it is without") {
  struct Reads : train::StepCallback {
    void on_backward_begin(Learner& learner) override { learner.loss.item(); }
    train::StepWork step_work() const override { return train::StepWork::same; }
  };
  const auto prepare = [](Learner& learn) {
    learn.add(std::make_shared<Reads>());
    learn.mixup().fit(2);
  };
  CHECK(same(trained(true, prepare), trained(false, prepare)));
}

TEST_CASE("captured steps: hooks outside the step never stand in the way, and what they unfreeze is trained") {
  struct Unfreeze : train::Callback {
    void on_epoch_begin(Learner& learner) override {
      nn::parameters(*learner.model).front().requires_grad_(learner.epoch > 0);
    }
    void on_batch_end(Learner& learner) override {
      for (const Tensor& of_batch : {learner.loss, learner.output, learner.x()})
        seen.push_back(no_grad([&] { return sum(of_batch).item(); }));
    }
    std::vector<double> seen;
  };
  std::vector<double> seen[2];
  for (const bool capture : {false, true}) {
    OnDevice training(on_cuda(capture));
    const auto unfreeze = std::make_shared<Unfreeze>();
    training.learn.add(unfreeze).fit(3);
    CHECK(training.learn.recorder->obstacle() == "");
    seen[capture] = unfreeze->seen;
    for (const double value : result_of(training.learn)) seen[capture].push_back(value);
  }
  CHECK(same(seen[true], seen[false]));
}

TEST_CASE("captured steps: a training that is stopped and resumed ends with the same bits") {
  if (!has_json()) return;
  const TemporaryFolder folder;
  const auto train_with = [&](bool stop) {
    const std::string path = folder / (stop ? "stopped" : "whole");
    const auto begin = [&](OnDevice& training) {
      training.learn.mixup().add(std::make_shared<train::Checkpoint>(path, 3));
      training.learn.add(std::make_shared<train::Lookahead>(train::LookaheadOptions{.every = 3}));
      training.learn.add(std::make_shared<train::WeightAverage>(train::WeightAverageOptions{.decay = 0.7}));
    };
    if (stop) {
      OnDevice first(on_cuda());
      begin(first);
      first.learn.add(at(&At::batch_end, [](Learner& learner) {
        if (learner.epoch == 1 && learner.batch == 2) learner.stop();
      }));
      // At's hooks take part in the step: this one is not captured.
      first.learn.fit(2);
    }
    OnDevice second(on_cuda());
    begin(second);
    if (stop) train::resume(second.learn, path);
    second.learn.fit(2);
    CHECK(second.learn.recorder->obstacle() == "");
    return result_of(second.learn);
  };
  CHECK(same(train_with(true), train_with(false)));
}

#ifdef MIXGRAD_CUDA_EXECUTOR

// Under AddressSanitizer no memory is kept for the next tensor, and to free memory is to wait.
static std::uint64_t waits(const executor::Stats& stats) { return stats.synchronizations - stats.frees; }

TEST_CASE("captured steps: the host waits for the device once an epoch, and launches one graph per step") {
  OnDevice training(on_cuda(), true);
  training.learn.mixup();
  struct Count : train::Callback {
    std::vector<executor::Stats> begin, end;
    void on_epoch_begin(Learner&) override { begin.push_back(executor::stats); }
    void on_validate_begin(Learner&) override { end.push_back(executor::stats); }
  };
  const auto counted = std::make_shared<Count>();
  training.learn.add(counted).fit(3);
  for (std::size_t epoch = 1; epoch < 3; ++epoch) {
    const auto &from = counted->begin[epoch], &to = counted->end[epoch];
    CHECK(to.graph_launches - from.graph_launches == 4);
    CHECK(waits(to) - waits(from) <= 2);  // for the count of figures, and for the figures
  }
}

TEST_CASE("plain launches: the host does not wait for the device inside a step either") {
  OnDevice training(on_cuda(false), true);
  struct Count : train::StepCallback {
    std::uint64_t waits = 0, before = 0;
    void on_batch_begin(Learner&) override { before = ::waits(executor::stats); }
    void on_step_end(Learner&) override { waits += ::waits(executor::stats) - before; }
    train::StepWork step_work() const override { return train::StepWork::same; }
  };
  const auto counted = std::make_shared<Count>();
  training.learn.mixup().add(counted).fit(2);
  CHECK(counted->waits == 0);
}

#endif
#endif
