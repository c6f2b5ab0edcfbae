// CutMix: what it draws, how it combines, and in training.
#include <doctest/doctest.h>

#include <cmath>
#include <sstream>

#include "cutmix.h"
#include "mixgrad.h"
#include "training.h"

using namespace mixgrad;
using namespace mixgrad::augment;
using test::At;
using test::at;
using test::digits;
using test::quiet;

namespace {

MixPlan drawn(const Shape& batch, const CutMixDraws& options = {}, std::uint64_t seed = 5) {
  Random random(seed, Purpose::mixup);
  return CutMix(options).draw(batch, random);
}

struct Box {
  std::int32_t top, bottom, left, right;
  double area() const { return (bottom - top) * (right - left); }
  bool operator==(const Box&) const = default;
};
Box box_of(const MixPlan& plan, std::int64_t i) {
  const std::int32_t* const edge = plan.more.data() + 4 * i;
  return {edge[0], edge[1], edge[2], edge[3]};
}

}  // namespace

TEST_CASE("cutmix: a box of one image is replaced by that of its partner, in one pass over bytes too") {
  test::check_cutmix(cpu);
}

TEST_CASE("cutmix: boxes lie in the image, and lambda is what they leave of it") {
  for (const Shape& batch : {Shape{500, 32, 32, 3}, Shape{200, 5, 9, 1}, Shape{50, 1, 1, 2}}) {
    const MixPlan plan = drawn(batch);
    check_plan(plan);
    REQUIRE(std::ssize(plan.more) == 4 * batch[0]);
    for (std::int64_t i = 0; i < batch[0]; ++i) {
      const Box box = box_of(plan, i);
      CHECK((0 <= box.top && box.top <= box.bottom && box.bottom <= batch[1]));
      CHECK((0 <= box.left && box.left <= box.right && box.right <= batch[2]));
      const double rest = 1 - box.area() / static_cast<double>(batch[1] * batch[2]);
      CHECK(plan.lambda[static_cast<std::size_t>(i)] == static_cast<float>(rest));
    }
  }
}

TEST_CASE("cutmix: the box of a stream is the paper's: sides sqrt(1 - t) of the image's, about a uniform centre") {
  Random random(5, Purpose::mixup);
  const MixPlan plan = drawn({3, 20, 30, 1}, {.alpha = 0.7});
  for (std::int64_t i = 0; i < 3; ++i) {
    const double side = std::sqrt(1 - random.beta(0.7, 0.7));
    const int half_height = static_cast<int>(20 * side) / 2, half_width = static_cast<int>(30 * side) / 2;
    const int y = static_cast<int>(random.below(20)), x = static_cast<int>(random.below(30));
    CHECK(box_of(plan, i) == Box{std::max(y - half_height, 0), std::min(y + half_height, 20),
                                 std::max(x - half_width, 0), std::min(x + half_width, 30)});
  }
  CHECK(plan.permutation == random.permutation(3));
}

TEST_CASE("cutmix: with alpha 1 the uncut share of a large image averages what the paper's draw does") {
  // E[lambda] by integrating over t ~ U(0, 1) and the centre: a side s = sqrt(1 - t) covers s - s^2/4 of an axis on
  // average, so 1 - E[(s - s^2/4)^2] = 1 - (1/2 - 1/5 + 1/48) = .679; five standard errors of 20,000 draws are .009.
  const MixPlan plan = drawn({20000, 1000, 1000, 1});
  double mean = 0;
  for (const float lambda : plan.lambda) mean += lambda / 20000;
  CHECK(std::abs(mean - 0.679) < 0.009);
}

TEST_CASE("cutmix: one box for a batch, where that is asked for; none where alpha is 0") {
  const MixPlan one = drawn({20, 16, 16, 3}, {.box_per = LambdaPer::batch});
  for (std::int64_t i = 1; i < 20; ++i) CHECK(box_of(one, i) == box_of(one, 0));
  CHECK(one.lambda == std::vector<float>(20, one.lambda[0]));
  const MixPlan none = drawn({20, 16, 16, 3}, {.alpha = 0});
  CHECK(none.lambda == std::vector<float>(20, 1));
  for (std::int64_t i = 0; i < 20; ++i) CHECK(box_of(none, i).area() == 0);
}

TEST_CASE("cutmix: a plan is printed with its boxes, and read back") {
  const MixPlan plan = drawn({7, 12, 10, 3});
  std::stringstream text;
  text << plan;
  CHECK(read_mix_plan(text) == plan);
  std::ostringstream line;
  line << MixPlan{{0.75f}, {0}, {1, 3, 0, 2}};
  CHECK(line.str() == "0 <- 0.75 * 0 + 0.25 * 0 : 1 3 0 2\n\n");
}

TEST_CASE("cutmix: what it cannot use is refused") {
  for (const double alpha : {-1.0, 2e6, std::nan("")})
    CHECK_THROWS_WITH_AS(CutMix({.alpha = alpha}), doctest::Contains("cutmix: alpha"), Error);
  CHECK_THROWS_WITH_AS(drawn({5, 4}), "cutmix: images must be [N, H, W, C], got [5, 4]", Error);
  const Tensor x = Tensor::zeros({2, 4, 4, 1});
  const auto refused = [&](const MixDraw& draw, const char* words) {
    CHECK_THROWS_WITH_AS(CutMix().combine(x, x, draw), doctest::Contains(words), Error);
  };
  refused({Tensor::ones({2}), Tensor()}, "2 samples with 0 numbers beside lambda, not i32 [8]");
  refused({Tensor::ones({2}), Tensor::zeros({4}, {.dtype = DType::i32})}, "with 4 numbers");
  refused({Tensor::ones({2}), Tensor::zeros({8})}, "not i32 [8]");
  refused({Tensor::ones({3}), Tensor::zeros({8}, {.dtype = DType::i32})}, "2 samples with lambda f32[3]");
  CHECK_THROWS_AS(CutMix().combine(x, Tensor::zeros({2, 4, 5, 1}), {drawn({2, 4, 4, 1}), cpu}), Error);
}

TEST_CASE("cutmix: trains in place of mixup, whichever was asked for last, and never in validation") {
  train::Learner learn(digits(40), nn::simple_cnn({3, 4, 2}), quiet());
  learn.mixup().cutmix();
  int batches = 0;
  learn.add(at(&At::batch_begin, [&](train::Learner& l) {
    if (++batches > 3) return;  // of the fit with mixup
    const auto& target = std::get<MixedTarget>(l.target);
    REQUIRE(l.plan.mix.has_value());
    CHECK(target.lambda.to_vector<float>() == l.plan.mix->plan.lambda);
    CHECK(std::ssize(l.plan.mix->plan.more) == 4 * std::ssize(l.plan.indices));
    train::BatchPlan uncut = l.plan;
    uncut.mix.reset();
    const Tensor own = std::get<Tensor>(train::prepare(l.data.train.dataset(), uncut).first);
    const Tensor rows = Tensor::from(l.plan.mix->plan.permutation, {own.size(0)});
    CHECK(l.x().to_vector<float>() ==
          CutMix().combine(own, gather(own, rows), {l.plan.mix->plan, cpu}).to_vector<float>());
  }));
  learn.fit(1);
  CHECK(batches == 3);
  CHECK(learn.validation->loss == learn.validate().loss);
  learn.mixup().fit(1);
  CHECK(learn.plan.mix->plan.more.empty());
}

TEST_CASE("cutmix: images that are read on demand are cut as those in memory") {
  const auto trained = [](int workers, train::MixSource source) {
    manual_seed(4);
    train::Learner learn(digits(40, {.batch_size = 16, .shuffle = true, .workers = workers}), nn::simple_cnn({3, 4, 2}),
                         quiet());
    learn.cutmix({.source = source}).fit(1);
    return test::weights(*learn.model);
  };
  for (const auto source : {train::MixSource::shuffled_self, train::MixSource::second_loader})
    CHECK(trained(0, source) == trained(2, source));
}

TEST_CASE("prepare: a loop of one's own trains as a Learner does, bit for bit") {
  manual_seed(8);
  auto model = nn::simple_cnn({3, 4, 4, 2});
  const data::DataLoaders data = digits(70);
  {
    train::Optimizer optimizer(nn::parameters(model), train::adamw());
    const auto mixup = std::make_shared<MixUp>();
    const MixUpLoss loss_function(nn::cross_entropy);
    const std::uint64_t seed = quiet().seed;
    const auto epoch = data.train.epoch(0);
    for (std::int64_t batch = 0; batch < epoch.size(); ++batch) {
      const auto indices = epoch.indices(batch);
      Random random(seed, Purpose::mixup, 0, static_cast<std::uint32_t>(batch));
      train::BatchPlan plan{.batch = batch, .indices = {indices.begin(), indices.end()}};
      plan.mix = {.mix = mixup, .plan = mixup->draw({std::ssize(indices)}, random)};
      const auto [input, target] = train::prepare(data.train.dataset(), plan);
      loss_function(model(std::get<Tensor>(input)), target).backward();
      optimizer.step();
      optimizer.zero_grad();
    }
  }
  manual_seed(8);
  train::Learner learn(data, nn::simple_cnn({3, 4, 4, 2}), quiet());
  learn.mixup().fit(1);
  CHECK(test::weights(model) == test::weights(*learn.model));
}

TEST_CASE("a batch's plan: what transforms and a mix drew is printed with it") {
  train::BatchPlan plan{.pass = 1, .batch = 2, .indices = {5, 0}, .shape = {2, 4, 4, 1}, .rates = {{.lr = 0.25}}};
  plan.transforms.push_back({data::random_crop({.padding = 1}), {1, 0, -1, 1}, Random(0)});
  plan.mix = {
      .mix = std::make_shared<CutMix>(), .plan = {{0.75f, 1}, {1, 0}, {1, 3, 0, 2, 0, 0, 0, 0}}, .partners = {7, 8}};
  plan.values["scale"] = std::vector{2.0f, 0.5f};
  std::ostringstream out;
  out << plan;
  CHECK(out.str() ==
        "pass 1, batch 2: lr 0.25, momentum 0, samples 5 0\n"
        "random_crop: padding 1, border zero: 1 0 -1 1\n"
        "cutmix: alpha 1, one box per sample\n"
        "0 <- 0.75 * 0 + 0.25 * 1 : 1 3 0 2\n1 <- 1 * 1 + 0 * 0 : 0 0 0 0\n\n"
        "partners: 7 8\n"
        "scale: 2 0.5\n");
}

TEST_CASE("prepare: a plan whose parts do not fit is refused, before any memory is read") {
  const data::DataLoaders data = digits(20);
  const auto& dataset = data.train.dataset();
  const auto refused = [&](const train::BatchPlan& plan, const char* words) {
    CHECK_THROWS_WITH_AS(train::prepare(dataset, plan), doctest::Contains(words), Error);
  };
  train::BatchPlan plan{.indices = {3, 5}};
  plan.mix = {.mix = std::make_shared<MixUp>(), .plan = {{1, 1, 1}, {2, 0, 1}}};
  refused(plan, "2 samples are mixed by a plan for 3");
  plan.mix->plan = {{1, 1}, {0, 2}};
  refused(plan, "not a permutation");
  plan.mix->plan = {{1, 1}, {1, 0}};
  plan.mix->partners = {4};
  refused(plan, "1 partners of their own");
  plan.mix = {.mix = std::make_shared<CutMix>(), .plan = drawn({2, 28, 28, 3}), .stack_x = true};
  refused(plan, "stack_x needs a mix that lambda alone describes");
  plan.mix.reset();
  plan.values["plan.rates"] = std::vector{1.0f};
  refused(plan, "plan.rates: names that begin with plan. are its own");
}

TEST_CASE("prepare: f64 samples that are read on demand are mixed as f64") {
  struct Points : data::Dataset {
    std::vector<std::string> names{"a", "b"};
    std::int64_t size() const override { return 4; }
    const std::vector<std::string>& classes() const override { return names; }
    data::Batch get(std::span<const std::int32_t> indices) const override {
      const Tensor rows = Tensor::from(indices, {std::ssize(indices)});
      return {reshape(rows.to(DType::f64), {-1, 1}), rows};
    }
  };
  train::BatchPlan plan{.indices = {0, 3}};
  plan.mix = {.mix = std::make_shared<MixUp>(), .plan = {{0.75f, 0.5f}, {1, 0}}};
  const auto [input, target] = train::prepare(Points(), plan);
  CHECK(std::get<Tensor>(input).to_vector<double>() == std::vector<double>{0.75, 1.5});
  CHECK(std::get<MixedTarget>(target).partner.to_vector<std::int32_t>() == std::vector<std::int32_t>{3, 0});
}
