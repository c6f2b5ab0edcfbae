// The relatives of mixup: each by the law that its header states.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "mixgrad.h"
#include "optional.h"
#include "points.h"
#include "temporary_folder.h"
#include "training.h"

using namespace mixgrad;
using namespace mixgrad::augment;
using test::At;
using test::at;
using test::digits;
using test::quiet;
using test::TemporaryFolder;

namespace {

using PartnerList = std::vector<std::int32_t>;

MixPlan drawn_plan(std::int64_t n, const MixOptions& options, std::uint64_t seed = 7) {
  Random random(seed);
  return draw_mix_plan(n, options, random);
}

std::int64_t num_mixed(const MixPlan& plan) {
  return std::ranges::count_if(plan.lambda, [](float lambda) { return lambda != 1; });
}

// A small network with two hidden layers to mix in front of, and no batch norm.
nn::Sequential two_hidden_layers() {
  return nn::Sequential(nn::Conv2d(3, 4, {.stride = 4}), nn::ReLU(), nn::Conv2d(4, 4, {.stride = 2}), nn::ReLU(),
                        nn::GlobalAvgPool(), nn::Flatten(), nn::Linear(4, 2));
}

// A learner over 60 digits, in batches of 8 and a short one.
struct DigitTraining {
  explicit DigitTraining(const std::function<void(train::Learner&)>& mix, int workers = 0)
      : model((manual_seed(3), two_hidden_layers())),
        learn(digits(60, {.batch_size = 8, .shuffle = true, .workers = workers}), model, quiet()) {
    mix(learn);
  }
  std::vector<float> fit(double epochs = 2) {
    learn.fit(epochs);
    return test::weights(model);
  }
  nn::Sequential model;
  train::Learner learn;
};

using PrepareMix = std::function<void(train::Learner&)>;
struct MixVariant {
  const char* name;
  PrepareMix mix;
};
const std::vector<MixVariant> all_variants{
    {"mixup, half of the samples, flipped", [](auto& l) { l.mixup({.probability = 0.5, .pairing = Pairing::flip}); }},
    {"cutmix, half of the samples, rolled", [](auto& l) { l.cutmix({.probability = 0.5, .pairing = Pairing::roll}); }},
    {"mixup, off in the second epoch", [](auto& l) { l.mixup({.off_from = 1.25}); }},
    {"mixup or cutmix", [](auto& l) { l.mixup_or_cutmix(); }},
    {"manifold mixup", [](auto& l) { l.manifold_mixup(); }},
    {"regmixup", [](auto& l) { l.reg_mixup({.eta = 0.5}); }},
};

}  // namespace

TEST_CASE("pairing: shuffled, flipped or rolled, for mixup as for CutMix") {
  Random random(1);
  CHECK(draw_partners(5, Pairing::flip, random) == PartnerList{4, 3, 2, 1, 0});
  CHECK(draw_partners(5, Pairing::roll, random) == PartnerList{1, 2, 3, 4, 0});
  for (const Pairing pairing : {Pairing::shuffle, Pairing::flip, Pairing::roll})
    for (const std::int64_t n : {0, 1})
      CHECK(draw_partners(n, pairing, random) == PartnerList(static_cast<std::size_t>(n)));
  CHECK(drawn_plan(4, {.pairing = Pairing::roll}).permutation == PartnerList{1, 2, 3, 0});
  CHECK(CutMix({.pairing = Pairing::flip}).draw({3, 4, 4, 1}, random).permutation == PartnerList{2, 1, 0});
  CHECK(drawn_plan(50, {.pairing = Pairing::flip}).lambda == drawn_plan(50, {}).lambda);  // partners are drawn last
}

TEST_CASE("probability: of 0 nothing is mixed, of 1 all is as without; between, so many samples or batches") {
  const MixOptions uniform{.alpha = 1};
  CHECK(num_mixed(drawn_plan(100, {.alpha = 1, .probability = 0})) == 0);
  CHECK(drawn_plan(100, {.alpha = 1, .probability = 1}) == drawn_plan(100, uniform));
  const auto some = num_mixed(drawn_plan(10000, {.alpha = 1, .probability = 0.3}));
  CHECK(std::abs(static_cast<double>(some) - 3000) < 5 * std::sqrt(10000 * 0.3 * 0.7));
  int batches = 0;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    const auto count = num_mixed(drawn_plan(8, {.alpha = 1, .lambda_per = LambdaPer::batch, .probability = 0.3}, seed));
    CHECK((count == 0 || count == 8));
    batches += count == 8;
  }
  CHECK(std::abs(batches - 120.0) < 5 * std::sqrt(400 * 0.3 * 0.7));
  Random random(2);
  const MixPlan uncut = CutMix({.probability = 0}).draw({20, 8, 8, 1}, random);
  CHECK(num_mixed(uncut) == 0);
  CHECK_THROWS_WITH_AS(drawn_plan(2, {.probability = 1.5}), "mixup: probability must be between 0 and 1, got 1.5",
                       Error);
  CHECK_THROWS_WITH_AS(CutMix({.probability = -1}), "cutmix: probability must be between 0 and 1, got -1", Error);
  CHECK_THROWS_AS(drawn_plan(2, {.probability = std::nan("")}), Error);
}

TEST_CASE("off_from: mixed up to there, trained plainly from there, in parts of an epoch too") {
  std::vector<bool> mixed;
  DigitTraining training([](auto& l) { l.mixup({.off_from = 1.5}); });
  training.learn.add(at(&At::batch_begin, [&](train::Learner& l) {
    mixed.push_back(l.plan.mix.has_value());
    CHECK(std::holds_alternative<MixedTarget>(l.target) == l.plan.mix.has_value());
  }));
  training.fit(3);
  REQUIRE(mixed.size() == 24);
  for (std::size_t batch = 0; batch < mixed.size(); ++batch) CHECK(mixed[batch] == (batch < 12));
  DigitTraining off([](auto&l) { l.mixup({.off_from = 0}); }), plain([](auto&) {});
  CHECK(off.fit() == plain.fit());
  CHECK_THROWS_AS(train::MixUpCallback({.off_from = -1}), Error);
}

TEST_CASE("mixup_or_cutmix: one of the two for each batch, by its share; each as it is alone") {
  const auto weights = [](const PrepareMix& mix) { return DigitTraining(mix).fit(); };
  CHECK(weights([](auto& l) { l.mixup_or_cutmix({.cutmix = 0}); }) == weights([](auto& l) { l.mixup(); }));
  CHECK(weights([](auto& l) { l.mixup_or_cutmix({.cutmix = 1}); }) == weights([](auto& l) { l.cutmix(); }));
  int cut = 0, batches = 0;
  DigitTraining training([](auto& l) { l.mixup_or_cutmix({.cutmix = 0.25}); });
  training.learn.add(at(&At::batch_begin, [&](train::Learner& l) {
    ++batches;
    cut += !l.plan.mix->plan.more.empty();
  }));
  training.fit(20);
  CHECK(batches == 160);
  CHECK(std::abs(cut - 40.0) < 5 * std::sqrt(160 * 0.25 * 0.75));
  CHECK_THROWS_AS(training.learn.mixup_or_cutmix({.cutmix = 1.1}), Error);
}

TEST_CASE("several mixes: weights are checked, and plans of the program's own are for one") {
  const auto mixup = std::make_shared<MixUp>();
  using train::PairMixCallback, train::PairMixOptions, train::WeightedMix;
  CHECK_THROWS_WITH_AS(PairMixCallback(std::vector<WeightedMix>{}), doctest::Contains("no mix has a weight above 0"),
                       Error);
  CHECK_THROWS_AS(PairMixCallback(std::vector<WeightedMix>{{mixup, 0}}), Error);
  CHECK_THROWS_AS(PairMixCallback(std::vector<WeightedMix>{{mixup, 1}, {mixup, -1}}), Error);
  const auto plan = [](std::uint32_t, std::int64_t, std::int64_t) { return MixPlan(); };
  CHECK_THROWS_WITH_AS(PairMixCallback({{mixup}, {mixup}}, PairMixOptions{.plan = plan}),
                       doctest::Contains("are for one mix, not for 2"), Error);
  CHECK(PairMixCallback({{mixup, 1}, {std::make_shared<CutMix>(), 3}})
            .description()
            .starts_with("mixup: alpha 0.4, one lambda per sample, dedupe on (weight 1) or cutmix: alpha 1, one box "
                         "per sample (weight "
                         "3), "));
}

TEST_CASE("manifold mixup: in front of the first layer it is mixup, bit for bit") {
  DigitTraining manifold([](auto& l) { l.manifold_mixup({.draws = {.alpha = 1}, .layers = {"0"}}); });
  DigitTraining inputs([](auto& l) { l.mixup({.alpha = 1}); });
  CHECK(manifold.fit() == inputs.fit());
}

TEST_CASE("manifold mixup: what a hidden layer is given is mixed by the plan, targets too, below it nothing") {
  DigitTraining training([](auto& l) { l.manifold_mixup({.layers = {"2"}}); });
  int batches = 0;
  training.learn.add(at(&At::backward_begin, [&](train::Learner& l) {
    ++batches;
    const MixPlan& plan = l.plan.mix->plan;
    const auto [lambda, more] = MixDraw(plan, cpu);
    const Tensor partners = Tensor::from(plan.permutation, {plan.size()});
    Tensor h = training.model[1](training.model[0](l.x()));
    h = mix(MixedInput{h, gather(h, partners), lambda});
    for (std::size_t k = 2; k < training.model.size(); ++k) h = training.model[k](h);
    CHECK(h.detach().to_vector<float>() == l.output.detach().to_vector<float>());
    const auto& target = std::get<MixedTarget>(l.target);
    CHECK(target.lambda.to_vector<float>() == plan.lambda);
    CHECK(target.partner.to_vector<std::int32_t>() == gather(target.y, partners).to_vector<std::int32_t>());
  }));
  training.fit(1);
  CHECK(batches == 8);
}

TEST_CASE("manifold mixup: gradients below the layer are those of the mixture, by hand") {
  DigitTraining training([](auto& l) { l.manifold_mixup({.layers = {"2"}}); });
  const std::vector<Tensor> parameters = nn::parameters(training.model);
  training.learn.add(at(&At::backward_end, [&](train::Learner& l) {
    std::vector<std::vector<float>> actual;
    for (const Tensor& p : parameters) {
      actual.push_back(p.grad().to_vector<float>());
      p.grad().fill_(0);
    }
    Tensor h = training.model[1](training.model[0](l.x()));
    h = mix(h, l.plan.mix->plan);
    for (std::size_t k = 2; k < training.model.size(); ++k) h = training.model[k](h);
    MixUpLoss(nn::cross_entropy)(h, std::get<MixedTarget>(l.target)).backward();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const auto expected = parameters[i].grad().to_vector<float>();
      REQUIRE(expected.size() == actual[i].size());
      for (std::size_t k = 0; k < expected.size(); ++k)
        CHECK(actual[i][k] == doctest::Approx(expected[k]).epsilon(1e-4).scale(1e-3));
    }
  }));
  training.fit(1);
}

TEST_CASE("manifold mixup: by default in front of layers with weights of several axes; each has to be called once") {
  manual_seed(1);
  train::Learner learn(digits(20),
                       nn::Sequential(nn::Conv2d(3, 4), nn::BatchNorm(4), nn::ReLU(), nn::GlobalAvgPool(),
                                      nn::Flatten(), nn::Linear(4, 2)),
                       quiet());
  std::set<std::string> layers;
  learn.manifold_mixup().add(at(&At::batch_begin, [&](train::Learner& l) { layers.insert(l.plan.mix->layer); }));
  learn.fit(10);
  CHECK(layers == std::set<std::string>{"0", "5"});
  const nn::Linear shared(2, 2);
  train::Learner twice(digits(20), nn::Sequential(nn::Conv2d(3, 2), nn::GlobalAvgPool(), nn::Flatten(), shared, shared),
                       quiet());
  CHECK_THROWS_WITH_AS(twice.manifold_mixup({.layers = {"3"}}).fit(1),
                       doctest::Contains("in front of 3, which the model called 2 times in a step"), Error);
}

TEST_CASE("manifold mixup: each layer has its turn; afterwards, and in evaluation, nothing is mixed") {
  DigitTraining training([](auto& l) { l.manifold_mixup(); });
  std::map<std::string, int> times;
  training.learn.add(at(&At::batch_begin, [&](train::Learner& l) { ++times[l.plan.mix->layer]; }));
  double in_training = 0;
  training.learn.add(at(&At::epoch_end, [&](train::Learner& l) { in_training = l.validation->loss; }));
  training.fit(12);
  REQUIRE(times.size() == 3);  // those with parameters: 0, 2 and 6
  for (const char* layer : {"0", "2", "6"}) CHECK(std::abs(times[layer] - 32.0) < 5 * std::sqrt(96 * 2 / 9.0));
  CHECK(in_training == training.learn.validate().loss);
  for (std::size_t k = 0; k < training.model.size(); ++k) CHECK(!training.model[k].has_input_hook());
  training.model.train();
  const Tensor x = training.learn.data.valid.epoch(0)[0].x;
  const auto once = training.model(x).detach().to_vector<float>();
  CHECK(once == training.model(x).detach().to_vector<float>());
}

TEST_CASE("manifold mixup: a layer that is not there is refused by name, and leaves nothing behind") {
  DigitTraining training([](auto& l) { l.manifold_mixup({.layers = {"0", "7.body"}}); });
  CHECK_THROWS_WITH_AS(training.fit(), "manifold mixup: the model has no layer 7.body", Error);
  CHECK(!training.model[0].has_input_hook());
  train::Learner none(digits(20), nn::Linear(3, 2), quiet());  // parameters, but no layers below it
  CHECK_THROWS_WITH_AS(none.manifold_mixup().fit(1), doctest::Contains("no layers with weights"), Error);
}

TEST_CASE("input hook: Sequential computes nothing past it, and the results are the same bits") {
  manual_seed(2);
  nn::Sequential model(nn::Conv2d(3, 4, {.padding = 1}), nn::ReLU(), nn::MaxPool2d(2), nn::BatchNorm(4), nn::ReLU());
  model.eval();
  const Tensor x = digits(4).valid.epoch(0)[0].x;
  const auto expected = model(x).detach().to_vector<float>();
  const std::vector<Shape> inputs{{4, 28, 28, 3}, {4, 28, 28, 4}, {4, 28, 28, 4}, {4, 14, 14, 4}, {4, 14, 14, 4}};
  for (std::size_t k = 0; k < model.size(); ++k) {
    CAPTURE(k);
    int calls = 0;
    {
      const nn::InputHook hook(model[k], [&](const Tensor& input) {
        ++calls;
        CHECK(input.shape() == inputs[k]);
        return input;
      });
      CHECK(model(x).detach().to_vector<float>() == expected);
      CHECK_THROWS_WITH_AS(nn::InputHook(model[k], [](const Tensor& t) { return t; }),
                           doctest::Contains("has an input hook already"), Error);
    }
    CHECK(calls == 1);
    CHECK(!model[k].has_input_hook());
  }
  CHECK(nn::named_modules(model).size() == 5);
  CHECK(nn::named_modules(model)[3].first == "3");
}

TEST_CASE("regmixup: the loss is that of the clean batch and eta times that of the mixed one, with their gradients") {
  manual_seed(4);
  const nn::Sequential shared = two_hidden_layers();
  nn::Sequential model = shared;
  const data::Batch batch = digits(9).valid.epoch(0)[0];
  const MixPlan plan = drawn_plan(9, {.alpha = 10});
  const auto gradients = [&](const auto& loss_of) {
    for (const Tensor& p : nn::parameters(model)) p.node()->grad = {};
    const Tensor loss = loss_of();
    loss.backward();
    std::vector<double> all{loss.item()};
    for (const Tensor& p : nn::parameters(model))
      for (const float g : p.grad().to_vector<float>()) all.push_back(g);
    return all;
  };
  const MixedTarget target = mixed_target(batch.y, plan);
  for (const double eta : {0.0, 0.5, 1.0}) {
    const auto together = gradients([&] {
      const auto [x, y] = behind_clean(batch.x, mix(batch.x, plan), target);
      return RegMixUpLoss(nn::cross_entropy, eta)(model(x), y);
    });
    const auto apart = gradients([&] {
      return nn::cross_entropy(model(batch.x), batch.y) +
             eta * MixUpLoss(nn::cross_entropy)(model(mix(batch.x, plan)), target);
    });
    REQUIRE(together.size() == apart.size());
    for (std::size_t i = 0; i < apart.size(); ++i)  // sums over 18 samples, in another order
      CHECK(together[i] == doctest::Approx(apart[i]).epsilon(1e-4).scale(1e-2));
  }
  CHECK_THROWS_AS(RegMixUpLoss(nn::cross_entropy, -1), Error);
  CHECK_THROWS_WITH_AS(behind_clean(batch.x, slice(batch.x, 0, 8), target), doctest::Contains("clean samples with"),
                       Error);
  const auto refused = [](const train::PairMixOptions& options) {
    CHECK_THROWS_AS(train::PairMixCallback(std::make_shared<MixUp>(), options), Error);
  };
  refused({.eta = -1});
  refused({.stack_x = true, .eta = 1});
  refused({.stack_y = false, .eta = 1});
  refused({.loss_weight = LossWeight::batch_mean, .eta = 1});
  refused({.source = train::MixSource::near_targets, .bandwidth = 0});
  const RegMixUpLoss loss(nn::cross_entropy);
  CHECK_THROWS_WITH_AS(loss(model(batch.x), target), doctest::Contains("9 samples are not"), Error);
}

TEST_CASE("regmixup: in training the clean batch comes first, then its mixture; validation meets neither") {
  DigitTraining training([](auto& l) { l.reg_mixup({.draws = {.alpha = 10}}); });
  training.learn.add(at(&At::batch_begin, [&](train::Learner& l) {
    train::BatchPlan clean = l.plan;
    clean.mix.reset();
    const auto [x, y] = train::prepare(l.data.train.dataset(), clean);
    const std::int64_t n = std::ssize(l.plan.indices);
    CHECK(l.x().size(0) == 2 * n);
    CHECK(slice(l.x(), 0, n).to_vector<float>() == std::get<Tensor>(x).to_vector<float>());
    CHECK(slice(l.x(), n, 2 * n).to_vector<float>() == mix(std::get<Tensor>(x), l.plan.mix->plan).to_vector<float>());
    const auto& target = std::get<MixedTarget>(l.target);
    CHECK(slice(target.lambda, 0, n).to_vector<float>() == std::vector<float>(static_cast<std::size_t>(n), 1));
    CHECK(slice(target.lambda, n, 2 * n).to_vector<float>() == l.plan.mix->plan.lambda);
  }));
  training.fit(1);
  CHECK(training.learn.validation->loss == training.learn.validate().loss);
}

TEST_CASE("c-mixup: partners follow the density of the targets' distances") {
  const std::vector<double> targets{0, 1, 3, 3.5};
  const double h = 1.5;
  const NearTargets near(Tensor::from(targets, {4}), h);
  for (std::int32_t own = 0; own < 4; ++own) {
    std::vector<double> expected;
    for (const double y : targets)
      expected.push_back(std::exp(-std::pow((y - targets[static_cast<std::size_t>(own)]) / h, 2) / 2));
    const double sum = std::accumulate(expected.begin(), expected.end(), 0.0);
    constexpr int draws = 20000;
    Random random(9);
    std::vector<int> times(4);
    for (const std::int32_t partner : near.draw(std::vector<std::int32_t>(draws, own), random))
      ++times[static_cast<std::size_t>(partner)];
    for (std::size_t k = 0; k < 4; ++k) {
      const double p = expected[k] / sum;
      CHECK(std::abs(times[k] - draws * p) < 5 * std::sqrt(draws * p * (1 - p)));
    }
  }
}

TEST_CASE("c-mixup: a narrow bandwidth pairs equals alone, a wide one all; targets may be vectors") {
  Random random(1);
  const Tensor rows = Tensor::from<double>({0, 0, 5, 5, 0, 0, 5, 5}, {4, 2});  // 0 and 2, 1 and 3 are equal
  std::set<std::int32_t> partners;
  for (const std::int32_t j : NearTargets(rows, 1e-3).draw(PartnerList(100, 1), random)) partners.insert(j);
  CHECK(partners == std::set<std::int32_t>{1, 3});
  std::vector<int> times(4);
  for (const std::int32_t j : NearTargets(rows, 1e6).draw(PartnerList(4000, 0), random))
    ++times[static_cast<std::size_t>(j)];
  for (const int count : times) CHECK(std::abs(count - 1000) < 5 * std::sqrt(4000 * 3 / 16.0));
  CHECK_THROWS_AS(NearTargets(rows, 0), Error);
  CHECK_THROWS_AS(NearTargets(Tensor::from<std::int32_t>({0, 1}, {2}), 1), Error);
  CHECK_THROWS_AS(NearTargets(Tensor::zeros({0, 2}), 1), Error);
  CHECK_THROWS_WITH_AS(NearTargets(Tensor::from<double>({0, std::nan("")}, {2}), 1), doctest::Contains("nan"), Error);
  CHECK_THROWS_WITH_AS(NearTargets(rows, 1).draw(PartnerList{4}, random), "C-Mixup: sample 4 of 4", Error);
}

TEST_CASE("c-mixup: in training, inputs and targets are mixed with those of samples that have near targets") {
  std::vector<float> x, y;
  for (int i = 0; i < 40; ++i) {
    x.push_back(static_cast<float>(i) / 20 - 1);
    y.push_back(3 * x.back());
  }
  const Tensor inputs = Tensor::from(x, {40, 1}), targets = Tensor::from(y, {40, 1});
  manual_seed(1);
  train::LearnerOptions options = quiet();
  options.loss = nn::mse;
  options.metrics = {};
  options.optimizer = train::sgd({.lr = 0.3});
  train::Learner learn(test::loaders(inputs, targets, 8, {}), nn::Sequential(nn::Linear(1, 1)), options);
  learn.c_mixup({.bandwidth = 0.2});
  learn.add(at(&At::batch_begin, [&](train::Learner& l) {
    const auto& mix = *l.plan.mix;
    REQUIRE(mix.partners.size() == l.plan.indices.size());
    const auto mixed_x = l.x().to_vector<float>(), mixed_y = std::get<Tensor>(l.target).to_vector<float>();
    for (std::size_t n = 0; n < mix.partners.size(); ++n) {
      const auto i = static_cast<std::size_t>(l.plan.indices[n]), j = static_cast<std::size_t>(mix.partners[n]);
      CHECK(std::abs(y[i] - y[j]) < 8 * 0.2);
      const float lambda = mix.plan.lambda[n];
      CHECK(mixed_x[n] == doctest::Approx(lambda * x[i] + (1 - lambda) * x[j]).scale(1));
      CHECK(mixed_y[n] == doctest::Approx(lambda * y[i] + (1 - lambda) * y[j]).scale(1));
    }
  }));
  learn.fit(20);
  CHECK(learn.validation->loss < 1e-6);  // the line is the same between samples
}

TEST_CASE("c-mixup: training resumed anywhere ends bit for bit as if it had never stopped") {
  if (!test::has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  std::vector<float> x(40);
  std::iota(x.begin(), x.end(), -20.0f);
  const Tensor inputs = Tensor::from(x, {40, 1}) / 20.0, targets = inputs * inputs;
  const auto fit = [&](bool resumes, int stop) {
    manual_seed(1);
    train::LearnerOptions options{.loss = nn::mse, .seed = 5, .verbose = false};
    const nn::Sequential model(nn::Linear(1, 8), nn::ReLU(), nn::Linear(8, 1));
    train::Learner learn(test::loaders(inputs, targets, 8, {}), model, options);
    learn.c_mixup({.bandwidth = 0.3}).add(std::make_shared<train::Checkpoint>(path, 1));
    if (resumes) train::resume(learn, path);
    int batches = 0;
    learn.add(at(&At::batch_end, [&](train::Learner&) { check(++batches != stop, "stopped"); }));
    learn.fit(3);
    return test::weights(*learn.model);
  };
  const auto whole = fit(false, 0);
  CHECK_THROWS_WITH_AS(fit(false, 8), "stopped", Error);
  CHECK(fit(true, 0) == whole);
}

TEST_CASE("several inputs are mixed by one plan") {
  Random random(3);
  const MixPlan plan = drawn_plan(3, {.alpha = 1});
  const Tensor numbers = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {3, 2}),
               embedded = Tensor::from<float>({7, 8, 9}, {3, 1, 1});
  const std::vector<Tensor> mixed = mix(std::vector{numbers, embedded}, plan);
  REQUIRE(mixed.size() == 2);
  CHECK(mixed[0].to_vector<float>() == mix(numbers, plan).to_vector<float>());
  CHECK(mixed[1].to_vector<float>() == mix(embedded, plan).to_vector<float>());
  CHECK_THROWS_AS(mix(std::vector{numbers, Tensor::zeros({4})}, plan), Error);
}

TEST_CASE("several labels at once: binary cross-entropy is linear in its target, so both forms agree") {
  const Tensor logits = Tensor::from<double>({0.5, -1, 2, 0, 3, -2}, {2, 3});
  const Tensor y = Tensor::from<double>({1, 0, 1, 0, 0, 1}, {2, 3});
  const MixPlan plan{{0.75f, 0.25f}, {1, 0}};
  const MixedTarget both = mixed_target(y, plan);
  CHECK(MixUpLoss(nn::bce_with_logits)(logits, both).item() ==
        doctest::Approx(nn::bce_with_logits(logits, mix(y, plan)).item()).epsilon(1e-12));
}

TEST_CASE(
    "several labels at once train with mixup, mixed beforehand or in the loss, to the same weights but for rounding") {
  Random random(2);
  std::vector<float> x, y;
  for (int i = 0; i < 40; ++i) {
    const double a = random.uniform(-1, 1), b = random.uniform(-1, 1);
    for (const double value : {a, b}) x.push_back(static_cast<float>(value));
    for (const bool label : {a > 0, b > 0, a + b > 0}) y.push_back(label ? 1.0f : 0.0f);
  }
  const auto fit = [&](bool stack_y) {
    manual_seed(1);
    train::LearnerOptions options{.loss = nn::bce_with_logits, .seed = 5, .verbose = false};
    train::Learner learn(test::loaders(Tensor::from(x, {40, 2}), Tensor::from(y, {40, 3}), 8, {}),
                         nn::Sequential(nn::Linear(2, 3)), options);
    learn.mixup({.stack_y = stack_y}).fit(4);
    return test::weights(*learn.model);
  };
  const auto in_loss = fit(true), beforehand = fit(false);
  for (std::size_t i = 0; i < in_loss.size(); ++i) CHECK(in_loss[i] == doctest::Approx(beforehand[i]).epsilon(1e-4));
}

TEST_CASE("variants: with a seed each trains to the same bits, whatever is resident, and differs from plain training") {
  const auto plain = DigitTraining([](auto&) {}).fit();
  for (const MixVariant& variant : all_variants) {
    CAPTURE(variant.name);
    const PrepareMix& mix = variant.mix;
    const auto once = DigitTraining(mix).fit();
    CHECK(once == DigitTraining(mix, 2).fit());
    CHECK(once != plain);
  }
}

TEST_CASE("variants: training resumed anywhere ends bit for bit as if it had never stopped") {
  if (!test::has_json()) return;
  const TemporaryFolder folder;
  const std::string path = folder / "run.safetensors";
  for (const MixVariant& variant : all_variants) {
    CAPTURE(variant.name);
    const PrepareMix& mix = variant.mix;
    const auto whole = DigitTraining(mix).fit();
    DigitTraining first(mix);
    first.learn.add(std::make_shared<train::Checkpoint>(path, 1));
    int batches = 0;
    first.learn.add(at(&At::batch_end, [&](train::Learner&) { check(++batches < 11, "stopped"); }));
    CHECK_THROWS_WITH_AS(first.fit(), "stopped", Error);
    DigitTraining second(mix);
    second.learn.add(std::make_shared<train::Checkpoint>(path, 1000));
    train::resume(second.learn, path);
    CHECK(second.fit() == whole);
  }
}
