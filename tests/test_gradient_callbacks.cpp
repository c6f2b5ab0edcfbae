// What looks at the gradients before a step: GradientClip, AccumulateGradients, TerminateOnNan.
#include <doctest/doctest.h>

#include <cmath>

#include "mixgrad.h"
#include "tests/memory.h"
#include "tests/not_finite.h"
#include "tests/points.h"
#include "tests/training.h"

using namespace mixgrad;
using namespace mixgrad::train;
using namespace mixgrad::test;

namespace {

double norm_of(const Tensor& x) {
  double squares = 0;
  for (const float value : x.to_vector<float>()) squares += double{value} * value;
  return std::sqrt(squares);
}

}  // namespace

TEST_CASE("gradient clip: a larger norm becomes the largest allowed, a smaller one stays, bit for bit") {
  for (const double scale : {1e-3, 1e3, 1e30}) {  // the squares of 1e30 overflow f32
    Learner learn(points(8), nn::Linear(2, 2), with_sgd());
    std::vector<float> before, after;
    learn.add(at(&At::backward_end, [&](Learner& learner) {
      const Tensor& g = learner.optimizer->gradients();
      g.copy_(no_grad([&] { return g * (scale / norm_of(g)); }));
      before = g.to_vector<float>();
    }));
    learn.add(std::make_shared<GradientClip>(1.0));
    learn.add(at(&At::backward_end, [&](Learner& learner) {
      const Tensor& g = learner.optimizer->gradients();
      after = g.to_vector<float>();
      if (scale > 1) CHECK(norm_of(g) == doctest::Approx(1).epsilon(1e-6));  // rounding to f32
    }));
    learn.fit(1);
    if (scale < 1) CHECK(after == before);
  }
}

TEST_CASE("gradient clip: leaves zero gradients, those that are not finite, and skipped steps alone") {
  for (const float value :
       {0.0f, infinity<float>, not_a_number<float>, 1e3f, 3e38f}) {  // the last one's norm is infinite
    Learner learn(points(8), nn::Linear(2, 2), with_sgd());
    learn.add(at(&At::backward_end, [&](Learner& learner) {
      learner.optimizer->gradients().fill_(value);
      learner.skip_step = value == 1e3f;
    }));
    learn.add(std::make_shared<GradientClip>(1.0));
    learn.add(at(&At::backward_end, [&](Learner& learner) {
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
    Learner learn(points(64, batch_size), model, with_sgd(0.9));
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
  Learner learn(points(40), nn::Linear(2, 2), with_sgd());  // 5 batches: steps after 2, 4 and 5
  learn.add(std::make_shared<AccumulateGradients>(2));
  std::vector<std::int64_t> steps;
  learn.add(at(&At::backward_end, [&](Learner& learner) {
    if (!learner.skip_step) steps.push_back(learner.batch);
    learner.optimizer->gradients().fill_(learner.batch == 4 ? 7.0 : 1.0);
  }));
  learn.fit(2);
  CHECK(steps == std::vector<std::int64_t>{1, 3, 4, 1, 3, 4});
  CHECK_THROWS_WITH_AS(AccumulateGradients(0), "accumulate: steps after every 0 batches", Error);
}

TEST_CASE("accumulate: whatever is left over, each step is SGD's with the mean of its batches' gradients") {
  constexpr std::int64_t batches = 5, epochs = 2;
  for (std::int64_t every = 1; every <= batches + 2; ++every) {
    CAPTURE(every);
    nn::Linear model(2, 2);
    Learner learn(points(8 * batches), model, with_sgd());
    const auto gradients = [&] {  // since the last step, one after the other
      std::vector<double> all;
      for (const Tensor& parameter : nn::parameters(model))
        for (const float g : parameter.grad().to_vector<float>()) all.push_back(g);
      return all;
    };
    const auto start = weights(model);
    std::vector<double> expected(start.begin(), start.end());
    std::int64_t steps = 0;
    learn.add(at(&At::backward_end, [&](Learner& learner) {
      const std::int64_t done = learner.batch + 1;
      if (done % every != 0 && done != batches) return;
      const std::int64_t in_group = done % every == 0 ? every : done % every;
      const auto sums = gradients();
      for (std::size_t i = 0; i < sums.size(); ++i) expected[i] -= 0.1 * sums[i] / static_cast<double>(in_group);
      ++steps;
    }));
    learn.add(std::make_shared<AccumulateGradients>(every)).fit(epochs);
    CHECK(learn.optimizer->steps == steps);
    CHECK(steps == epochs * ((batches + every - 1) / every));
    const auto trained = weights(model);
    for (std::size_t i = 0; i < trained.size(); ++i)
      CHECK(std::abs(trained[i] - expected[i]) < 1e-6);  // ten roundings of values below 2 in f32
  }
}

TEST_CASE("accumulate: a training that was stopped in the middle of a step leaves nothing to the next") {
  Learner learn(points(40), nn::Linear(2, 2), with_sgd());
  std::vector<std::int64_t> steps;
  const auto at = std::make_shared<At>();
  at->batch_end = [](Learner& learner) { learner.stop(); };
  at->backward_end = [&](Learner& learner) {
    if (!learner.skip_step) steps.push_back(learner.batch);
  };
  learn.add(std::make_shared<AccumulateGradients>(3)).add(at).fit(1);
  at->batch_end = nullptr;
  learn.fit(1);
  CHECK(steps == std::vector<std::int64_t>{2, 4});
}

TEST_CASE("accumulate: its state goes on in the middle of a step") {
  Memory memory;
  const auto gradients = [&](bool resumed) {
    manual_seed(4);
    Learner learn(points(32), nn::Linear(2, 2), with_sgd());
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

TEST_CASE("terminate on nan: no step, no trace in batch norm, and the place is told") {
  for (const float poison : {not_a_number<float>, infinity<float>}) {
    nn::Sequential model(nn::BatchNorm(2), nn::Linear(2, 2));
    Learner learn(points(32), model, with_sgd(0.9));
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

TEST_CASE("terminate on nan: a validation loss that is not finite ends training too, and is told") {
  nn::Sequential model(nn::Linear(2, 2));
  Learner learn(points(32), model, with_sgd());
  const auto terminate = std::make_shared<TerminateOnNan>();
  learn.add(terminate).add(at(&At::backward_end, [](Learner& learner) {
    if (learner.epoch == 1 && learner.batch == 3) learner.optimizer->gradients().fill_(not_a_number<float>);
  }));
  learn.fit(4);
  REQUIRE(terminate->bad());
  CHECK(terminate->bad()->epoch == 2);
  CHECK(terminate->bad()->batch == 0);
  CHECK(learn.optimizer->steps == 8);
  CHECK(learn.recorder->epochs().size() == 2);
}
