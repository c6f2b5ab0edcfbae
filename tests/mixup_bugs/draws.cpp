// Mistakes in what mixup draws at random. Each test states a law: mixgrad obeys it, the code in `wrong` breaks it.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "mixgrad.h"
#include "tests/error.h"
#include "tests/optional.h"
#include "tests/points.h"
#include "tests/temporary_folder.h"
#include "tests/training.h"

namespace mixgrad::mixup_bugs::draws {
namespace {

using namespace augment;
using train::Learner, train::MakeMixPlan;

// Makes the plans of a training with this seed; null stands for mixgrad's own.
using MakePlans = std::function<MakeMixPlan(std::uint64_t seed)>;
MakeMixPlan of_mixgrad(std::uint64_t) { return nullptr; }

// One t of Beta(alpha, alpha).
double draw_t(double alpha, Random& random) {
  return draw_mix_plan(1, {.alpha = alpha, .dedupe = false}, random).lambda[0];
}

std::vector<float> lambdas_with(double probability) {
  Random random(2);
  return draw_mix_plan(1000, {.alpha = 1, .probability = probability}, random).lambda;
}

namespace wrong {

// wrong: alpha is the rate of two Gamma(1) variates, where it should be their shape
double beta_by_rate(double alpha, Random& random) {
  const double a = -std::log(1 - random.uniform()) / alpha, b = -std::log(1 - random.uniform()) / alpha;
  return a / (a + b);
}

// wrong: at a small shape both variates underflow, and 0 / 0 is nan
double ratio_of_gammas(double alpha, Random& random) {
  const double a = random.gamma(alpha), b = random.gamma(alpha);
  return a / (a + b);
}

// wrong: the stream has a seed of its own, so that it is the same for all seeds, and for all ranks
MakeMixPlan ignores_the_seed(std::uint64_t) {
  return [](std::uint32_t pass, std::int64_t batch, std::int64_t n) {
    Random random(42, Purpose::mixup, pass, static_cast<std::uint32_t>(batch));
    return draw_mix_plan(n, {}, random);
  };
}

// wrong: the stream is named by seed and batch alone, so that it starts again in every epoch
MakeMixPlan repeats_each_epoch(std::uint64_t seed) {
  return [seed](std::uint32_t, std::int64_t batch, std::int64_t n) {
    Random random(seed, Purpose::mixup, 0, static_cast<std::uint32_t>(batch));
    return draw_mix_plan(n, {}, random);
  };
}

// wrong: one stream for all batches, whose position is in no checkpoint
MakeMixPlan one_stream(std::uint64_t seed) {
  return [random = Random(seed, Purpose::mixup)](std::uint32_t, std::int64_t, std::int64_t n) mutable {
    return draw_mix_plan(n, {}, random);
  };
}

// wrong: rounded to the 11 bits of half precision
std::vector<float> halves(std::vector<float> lambda) {
  for (float& value : lambda) value = std::nearbyint(value * 2048) / 2048;  // for 0.5 to 1
  return lambda;
}

// wrong: < where >= belongs, so that it is the probability of not mixing
std::vector<float> inverted(double probability) {
  Random random(2);
  std::vector<float> lambda(1000);
  for (float& value : lambda) value = random.uniform() < probability ? 1.0f : static_cast<float>(random.beta(1, 1));
  return lambda;
}

}  // namespace wrong

// The lambdas of each batch in two epochs of four.
std::vector<std::vector<float>> lambdas_in_training(std::uint64_t seed, const MakePlans& plans) {
  train::LearnerOptions options = test::with_sgd();
  options.seed = seed;
  Learner learn(test::points(32), nn::Linear(2, 2), options);
  std::vector<std::vector<float>> all;
  learn.mixup({.plan = plans(seed)}).add(test::at(&test::At::batch_end, [&](Learner& learner) {
    all.push_back(learner.plan.mix->plan.lambda);
  }));
  learn.fit(2);
  return all;
}

}  // namespace

TEST_CASE("mixup bug 2: Beta is drawn with a rate where a shape belongs") {
  // Law: the variance of t is 1 / (4 (2 alpha + 1)).
  const auto law = [](const auto& draw, double alpha) {
    Random random(1);
    double variance = 0;
    for (int i = 0; i < 20000; ++i) variance += std::pow(draw(alpha, random) - 0.5, 2) / 20000;
    return std::abs(variance * 4 * (2 * alpha + 1) - 1) < 0.05;  // five standard errors, or more
  };
  for (const double alpha : {0.1, 0.4, 1.0, 8.0}) {
    CAPTURE(alpha);
    CHECK(law(draw_t, alpha));
    CHECK(law(wrong::beta_by_rate, alpha) == (alpha == 1));  // t is uniform for any alpha
  }
}

TEST_CASE("mixup bug 3: Beta as a ratio of gammas is nan at small alpha") {
  // Law: t is in 0..1.
  const auto law = [](const auto& draw, double alpha) {
    Random random(1);
    bool holds = true;
    for (int i = 0; i < 1000; ++i) {
      const double t = draw(alpha, random);
      holds = holds && t >= 0 && t <= 1;  // false for nan
    }
    return holds;
  };
  CHECK(law(draw_t, 0.001));
  CHECK(law(wrong::ratio_of_gammas, 0.4));
  CHECK_FALSE(law(wrong::ratio_of_gammas, 0.001));
}

TEST_CASE("mixup bug 8: draws ignore the seed, or repeat themselves every epoch") {
  // Laws: another seed, other draws; the same seed, the same draws; no two batches are drawn alike. A rank of a
  // distributed training is one with a seed of its own.
  const auto follows_seed = [](const MakePlans& plans) {
    return lambdas_in_training(1, plans) == lambdas_in_training(1, plans) &&
           lambdas_in_training(1, plans) != lambdas_in_training(2, plans);
  };
  const auto never_repeats = [](const MakePlans& plans) {
    auto all = lambdas_in_training(1, plans);
    std::ranges::sort(all);
    return std::ranges::adjacent_find(all) == all.end();
  };
  CHECK(follows_seed(of_mixgrad));
  CHECK(never_repeats(of_mixgrad));
  CHECK_FALSE(follows_seed(wrong::ignores_the_seed));
  CHECK_FALSE(never_repeats(wrong::repeats_each_epoch));
}

TEST_CASE("mixup bug 17: lambda is in half precision") {
  // Law: the partner's share 1 - lambda is above 0 in 99 of 100 samples, however small. With alpha = 0.4 it is less
  // than 2^-12, and rounds to 0 in half precision, in 4.2 of 100; less than 2^-25, as for f32, in 0.1.
  const auto law = [](const std::vector<float>& lambda) { return std::ranges::count(lambda, 1.0f) < 100; };
  Random random(1);
  const std::vector<float> lambda = draw_mix_plan(10000, {.alpha = 0.4}, random).lambda;
  CHECK(law(lambda));
  CHECK_FALSE(law(wrong::halves(lambda)));
}

TEST_CASE("mixup bug 19: the probability of mixing is inverted") {
  // Law: with probability 0 nothing is mixed, with 1 everything. In the middle, at 1/2, nobody notices.
  const auto law = [](const auto& lambdas) {
    return std::ranges::count(lambdas(0), 1.0f) == 1000 && std::ranges::count(lambdas(1), 1.0f) == 0;
  };
  CHECK(law(lambdas_with));
  CHECK_FALSE(law(wrong::inverted));
}

TEST_CASE("mixup bug 20: a resumed training forgets where the random stream was") {
  if (!test::has_json()) return;
  const test::TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  const auto weights_after = [&](const MakePlans& plans, int stop_in_batch, bool resumes) {
    manual_seed(1);
    Learner learn(test::points(32), nn::Linear(2, 2), test::with_sgd());
    learn.mixup({.plan = plans(5)}).add(std::make_shared<train::Checkpoint>(path, 1));
    if (resumes) train::resume(learn, path);
    int batches = 0;
    learn.add(test::at(&test::At::batch_end, [&](Learner&) { check(++batches != stop_in_batch, "stopped"); }));
    test::error_of([&] { learn.fit(3); });
    return test::weights(*learn.model);
  };
  // Law: training that is stopped and resumed ends with the weights of training that never was.
  const auto law = [&](const MakePlans& plans) {
    const auto whole = weights_after(plans, 0, false);
    weights_after(plans, 6, false);
    return weights_after(plans, 0, true) == whole;
  };
  CHECK(law(of_mixgrad));
  CHECK_FALSE(law(wrong::one_stream));
}

}  // namespace mixgrad::mixup_bugs::draws
