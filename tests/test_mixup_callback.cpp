// MixUpCallback: mixup in training.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "mixgrad.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using augment::MixedTarget;
using test::At;
using test::at;
using test::digits;
using test::quiet;
using test::trained_weights;

namespace {

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
  Tensor forward(const Tensor& x) override { return *most_inputs = std::max<std::size_t>(*most_inputs, 1), cnn(x); }
  Tensor forward_many(std::span<const Tensor> inputs) override {
    *most_inputs = std::max(*most_inputs, inputs.size());
    const Tensor lambda = reshape(inputs[2], {-1, 1, 1, 1});
    return cnn(lambda * inputs[0] + (1.0 - lambda) * inputs[1]);
  }
  void visit(nn::Visitor& visitor) override { visitor.child("cnn", cnn); }
  std::string name() const override { return "Stacked"; }
};

}  // namespace

TEST_CASE("mixup callback: a second one is refused by name, not mixed twice") {
  Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), quiet());
  learn.add(std::make_shared<MixUpCallback>()).mixup();
  CHECK_THROWS_WITH_AS(learn.fit(1), doctest::Contains("mixed already"), Error);
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
  learn.add(at(&At::backward_begin, [&](Learner& learner) {
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
    learn.mixup().add(at(&At::batch_end, [&](Learner& learner) {
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
  learn.mixup().add(at(&At::train_begin, [](Learner&) { fail("at once"); }));
  CHECK_THROWS_AS(learn.fit(1), Error);
  CHECK(!loss_is_wrapped(learn));
}

TEST_CASE("mixup callback: draws follow the seed, differ from fit to fit, epoch to epoch and batch to batch") {
  const auto lambdas_of = [](std::uint64_t seed) {
    std::vector<std::vector<float>> all;
    LearnerOptions options = quiet();
    options.seed = seed;
    Learner learn(digits(32), nn::simple_cnn({3, 4, 2}), options);
    learn.mixup().add(at(&At::batch_end, [&](Learner& learner) {
      all.push_back(std::get<MixedTarget>(learner.target).lambda.to_vector<float>());
    }));
    for (const int epochs : {2, 1}) learn.fit(epochs);
    return all;
  };
  const auto first = lambdas_of(1);
  CHECK(first == lambdas_of(1));
  CHECK(first != lambdas_of(2));
  REQUIRE(first.size() == 6);
  for (std::size_t i = 0; i < 6; ++i)
    for (std::size_t j = i + 1; j < 6; ++j) CHECK(first[i] != first[j]);
}

TEST_CASE("mixup callback: each batch's plan is that of its own random stream, in an epoch of many batches too") {
  Learner learn(digits(139, {.batch_size = 2, .shuffle = true}), nn::simple_cnn({3, 4, 2}), quiet());
  int checked = 0;
  learn.mixup().add(at(&At::batch_end, [&](Learner& learner) {
    Random random(learner.options.seed, Purpose::mixup, learner.pass, static_cast<std::uint32_t>(learner.batch));
    const augment::MixPlan plan = augment::draw_mix_plan(learner.batch == 69 ? 1 : 2, {}, random);
    CHECK(std::get<MixedTarget>(learner.target).lambda.to_vector<float>() == plan.lambda);
    ++checked;
  }));
  learn.fit(2);
  CHECK(checked == 140);
}

TEST_CASE("mixup callback: one that has served another learner draws the plans of the new one's seed") {
  const auto callback = std::make_shared<MixUpCallback>();
  const auto first_lambdas = [&](std::uint64_t seed, const std::shared_ptr<MixUpCallback>& mixup) {
    LearnerOptions options = quiet();
    options.seed = seed;
    Learner learn(digits(16), nn::simple_cnn({3, 4, 2}), options);
    std::vector<float> lambdas;
    learn.add(mixup).add(at(&At::batch_end, [&](Learner& learner) {
      lambdas = std::get<MixedTarget>(learner.target).lambda.to_vector<float>();
    }));
    learn.fit(1);
    return lambdas;
  };
  first_lambdas(1, callback);
  CHECK(first_lambdas(2, callback) == first_lambdas(2, std::make_shared<MixUpCallback>()));
}

TEST_CASE("mixup callback: alpha 0 trains as without mixup, bit for bit") {
  const MixUpOptions none{.alpha = 0};
  CHECK(trained_weights(&none) == trained_weights());
}

TEST_CASE("mixup callback: a second loader brings partners from other batches, images with their labels") {
  // Where lambda is 0 the mixture is the partner itself. The second loader has the learner's seed, not the first's.
  Learner learn(digits(64, {.batch_size = 16, .shuffle = true, .seed = 6}), nn::simple_cnn({3, 4, 2}), quiet());
  const auto all_partners = [](std::uint32_t, std::int64_t, std::int64_t n) {
    std::vector<std::int32_t> same(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < same.size(); ++i) same[i] = static_cast<std::int32_t>(i);
    return augment::MixPlan{std::vector<float>(same.size(), 0), same};
  };
  bool differs = false;
  learn.mixup({.source = MixSource::second_loader, .plan = all_partners}).add(at(&At::batch_end, [&](Learner& learner) {
    const auto expected =
        learner.data.train
            .with(
                {.batch_size = 16, .shuffle = true, .seed = learner.options.seed, .purpose = Purpose::partner_shuffle})
            .epoch(learner.pass)[learner.batch];
    const auto& target = std::get<MixedTarget>(learner.target);
    CHECK(target.partner.to_vector<std::int32_t>() == expected.y.to_vector<std::int32_t>());
    const bool is_partner = learner.x().to_vector<float>() == expected.x.to_vector<float>();
    CHECK(is_partner);  // to the last bit, where lambda is 0
    differs |= target.y.to_vector<std::int32_t>() != target.partner.to_vector<std::int32_t>();
  }));
  for (int fit = 0; fit < 2; ++fit) learn.fit(1);  // the second in the order of the pass, not of its epoch
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
