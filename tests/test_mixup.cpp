// The document's statements about mixup, one by one, and what went wrong with mixup elsewhere.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <sstream>

#include "gather_mixed.h"
#include "mixgrad.h"
#include "tests/not_finite.h"

using namespace mixgrad;
using namespace mixgrad::augment;

namespace {

Tensor random_normal(const Shape& shape, std::uint64_t seed, DType dtype = DType::f32) {
  Random random(seed);
  std::vector<double> values(static_cast<std::size_t>(shape.numel()));
  for (double& value : values) value = random.normal();
  return Tensor::from(values, shape).to(dtype);
}

MixPlan plan_of(const std::vector<float>& lambda, const std::vector<std::int32_t>& permutation) {
  return {lambda, permutation};
}

MixPlan drawn(std::int64_t n, MixOptions options = {}, std::uint64_t seed = 7) {
  Random random(seed);
  return draw_mix_plan(n, options, random);
}

const std::vector<float>& lambdas(const MixPlan& plan) { return plan.lambda; }

}  // namespace

TEST_CASE("mixup: an image is t image1 + (1-t) image2, for tensors of rank 1 to 5") {
  const MixPlan plan = plan_of({0.75f, 0.5f, 1.0f}, {2, 0, 1});
  for (const Shape& shape : {Shape{3}, Shape{3, 2}, Shape{3, 2, 4}, Shape{3, 2, 2, 3}, Shape{3, 2, 1, 2, 2}}) {
    const Tensor x = random_normal(shape, 1);
    const std::vector<float> before = x.to_vector<float>(), mixed = mix(x, plan).to_vector<float>();
    const std::size_t row = before.size() / 3;
    const float lambda[] = {0.75f, 0.5f, 1.0f};
    const std::size_t partner[] = {2, 0, 1};
    for (std::size_t n = 0; n < 3; ++n)
      for (std::size_t i = 0; i < row; ++i)  // 1e-6: a few roundings of numbers of size 1
        CHECK(mixed[n * row + i] ==
              doctest::Approx(lambda[n] * before[n * row + i] + (1 - lambda[n]) * before[partner[n] * row + i])
                  .epsilon(1e-6));
    CHECK(x.to_vector<float>() == before);  // never in place
  }
}

TEST_CASE("mixup: a dense target is mixed by the same formula as its image") {
  const Tensor y = one_hot(Tensor::from<std::int32_t>({0, 1, 2}, {3}), 3);
  const Tensor mixed = mix(y, plan_of({0.75f, 0.5f, 1.0f}, {2, 0, 1}));
  CHECK(mixed.to_vector<float>() == std::vector<float>{0.75f, 0, 0.25f, 0.5f, 0.5f, 0, 0, 0, 1});
}

TEST_CASE("mixup: a dog and a cat give a target of 70% dog and 30% cat") {
  const Tensor dog_and_cat = one_hot(Tensor::from<std::int32_t>({0, 1}, {2}), 2);
  const auto mixed = mix(dog_and_cat, plan_of({0.7f, 0.7f}, {1, 0})).to_vector<float>();
  CHECK(mixed[0] == doctest::Approx(0.7));
  CHECK(mixed[1] == doctest::Approx(0.3));
}

TEST_CASE("mixup: the paper's form - two batches, one t, one-hot targets, no max - is at hand") {
  const MixPlan plan = drawn(5, {.lambda_per = LambdaPer::batch, .dedupe = false});
  const auto lambda = lambdas(plan);
  CHECK(std::all_of(lambda.begin(), lambda.end(), [&](float value) { return value == lambda[0]; }));
  const Tensor first = Tensor::zeros({5, 2}), second = Tensor::ones({5, 2});
  for (const float value : mix(first, second, plan).to_vector<float>())
    CHECK(value == doctest::Approx(1 - lambda[0]).epsilon(1e-6));
}

TEST_CASE("mixup: Beta(0.4, 0.4) puts most of its mass near 0 and 1") {
  Random random(3);
  int near_the_ends = 0;
  constexpr int draws = 20000;
  for (int i = 0; i < draws; ++i) {
    const double t = random.beta(0.4, 0.4);
    near_the_ends += t < 0.1 || t > 0.9;
  }
  // By the incomplete beta function 2 I_0.1(0.4, 0.4) = .4795; five standard errors are .018. A uniform t would give
  // .2.
  CHECK(std::abs(near_the_ends / double{draws} - 0.4795) < 0.018);
}

TEST_CASE("mixup: a batch is mixed with a permutation of itself") {
  auto partner = drawn(100).permutation;
  std::sort(partner.begin(), partner.end());
  for (std::int32_t i = 0; i < 100; ++i) CHECK(partner[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("mixup: t differs from sample to sample, or is one for the batch on request") {
  auto per_sample = lambdas(drawn(64)), per_batch = lambdas(drawn(64, {.lambda_per = LambdaPer::batch}));
  std::sort(per_sample.begin(), per_sample.end());
  const auto distinct = std::unique(per_sample.begin(), per_sample.end()) - per_sample.begin();
  CHECK(distinct > 40);  // some round to 1
  CHECK(std::count(per_batch.begin(), per_batch.end(), per_batch[0]) == 64);
}

TEST_CASE("mixup: lambda is max(t, 1-t), of each sample's t as of the batch's") {
  for (const LambdaPer per : {LambdaPer::sample, LambdaPer::batch}) {
    bool small = false;
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      const auto t = lambdas(drawn(3, {.lambda_per = per, .dedupe = false}, seed));
      const auto lambda = lambdas(drawn(3, {.lambda_per = per}, seed));
      for (std::size_t i = 0; i < 3; ++i)
        CHECK(lambda[i] == doctest::Approx(std::max(t[i], 1 - t[i])).epsilon(1e-6));  // 1 - t is rounded again
      small |= t[0] < 0.5f;
    }
    CHECK(small);
  }
}

TEST_CASE(
    "mixup: without max(t, 1-t), t = 0.1 on (0, 1) and t = 0.9 on (1, 0) give the same image; with it they differ") {
  const Tensor x = random_normal({2, 4}, 2);
  const auto rows = [&](float t0, float t1) {
    const auto mixed = mix(x, plan_of({t0, t1}, {1, 0})).to_vector<float>();
    double difference = 0;
    for (std::size_t i = 0; i < 4; ++i) difference = std::max(difference, std::abs(double{mixed[i] - mixed[4 + i]}));
    return difference;
  };
  CHECK(rows(0.1f, 0.9f) < 1e-6);  // equal up to rounding
  CHECK(rows(std::max(0.1f, 0.9f), std::max(0.9f, 0.1f)) > 0.1);
}

TEST_CASE("mixup: max(t, 1-t) removes the duplicate pair: lambda is never below one half") {
  const auto with = lambdas(drawn(2000)), without = lambdas(drawn(2000, {.dedupe = false}));
  CHECK(*std::min_element(with.begin(), with.end()) >= 0.5f);
  CHECK(*std::min_element(without.begin(), without.end()) < 0.1f);
  for (std::size_t i = 0; i < with.size(); ++i) CHECK(with[i] == doctest::Approx(std::max(without[i], 1 - without[i])));
}

TEST_CASE("mixup: the loss of both labels equals that of the mixed one-hot target, in value and in gradient") {
  const Tensor labels = Tensor::from<std::int32_t>({0, 2, 1, 2, 0}, {5});
  const MixPlan plan = drawn(5);
  const auto loss_and_gradient = [&](const auto& target) {
    const Tensor logits = random_normal({5, 3}, 4, DType::f64).requires_grad_();
    const Tensor loss = MixUpLoss(nn::cross_entropy)(logits, target);
    loss.backward();
    return std::pair(loss.item(), logits.grad().to_vector<double>());
  };
  const auto [stacked, stacked_gradient] = loss_and_gradient(Target(mixed_target(labels, plan)));
  const auto [dense, dense_gradient] = loss_and_gradient(Target(mix(one_hot(labels, 3, DType::f64), plan)));
  CHECK(stacked == doctest::Approx(dense).epsilon(1e-12));
  for (std::size_t i = 0; i < dense_gradient.size(); ++i)
    CHECK(stacked_gradient[i] == doctest::Approx(dense_gradient[i]).epsilon(1e-12));
}

TEST_CASE("mixup: the loss is mixed per sample and only then reduced, by mean, sum or not at all") {
  const Tensor logits = random_normal({4, 3}, 5, DType::f64);
  const Tensor labels = Tensor::from<std::int32_t>({0, 1, 2, 0}, {4});
  const MixPlan plan = drawn(4);
  const MixedTarget target = mixed_target(labels, plan);
  const auto own = nn::cross_entropy.per_sample(logits, target.y).to_vector<double>();
  const auto other = nn::cross_entropy.per_sample(logits, target.partner).to_vector<double>();
  const auto lambda = lambdas(plan);
  double total = 0;
  for (std::size_t i = 0; i < 4; ++i) total += lambda[i] * own[i] + (1.0 - lambda[i]) * other[i];

  const auto with = [&](nn::Reduction reduction) {
    return MixUpLoss(nn::cross_entropy_with({.reduction = reduction}))(logits, target);
  };
  CHECK(with(nn::Reduction::mean).item() == doctest::Approx(total / 4).epsilon(1e-12));
  CHECK(with(nn::Reduction::sum).item() == doctest::Approx(total).epsilon(1e-12));
  CHECK(with(nn::Reduction::none).shape() == Shape{4});
}

TEST_CASE("mixup: an invalid plan is refused: not a permutation, lambda outside 0..1, lengths that differ") {
  const Tensor x = random_normal({3, 2}, 1);
  const auto mixed_by = [&](float last, const std::vector<std::int32_t>& partners) {
    return mix(x, plan_of({0.5f, 0.5f, last}, partners));
  };
  CHECK_NOTHROW(mixed_by(1, {1, 2, 0}));
  CHECK_THROWS_AS(mixed_by(2.5f, {1, 2, 0}), Error);
  CHECK_THROWS_AS(mixed_by(std::nanf(""), {1, 2, 0}), Error);
  CHECK_THROWS_AS(mixed_by(1, {2}), Error);
  CHECK_THROWS_AS(mixed_by(1, {0, 0, 0}), Error);
  CHECK_THROWS_AS(mixed_by(1, {0, 1, 3}), Error);
}

TEST_CASE("mixup: a loss whose per-sample form is none is refused, not broadcast into a plausible mean") {
  const nn::Loss column{"column", [](const Tensor& output, const Tensor&) { return output * output; }};
  const Tensor output = random_normal({3, 1}, 1), y = Tensor::from<std::int32_t>({0, 0, 0}, {3});
  CHECK_THROWS_WITH_AS(column(output, y), doctest::Contains("column: per_sample gave [3, 1]"), Error);
  CHECK_THROWS_AS(MixUpLoss{column}(output, MixedTarget{y, y, Tensor::ones({3})}), Error);
}

TEST_CASE("mixup: the loss has no label smoothing, and no index is ignored") {
  const Tensor sure = Tensor::from({100.f, 0.f, 0.f}, {1, 3});
  const Tensor right = Tensor::from<std::int32_t>({0}, {1}), ignored = Tensor::from<std::int32_t>({-100}, {1});
  CHECK(nn::cross_entropy(sure, right).item() == 0);  // smoothing would leave a floor
  CHECK_THROWS_WITH_AS(nn::cross_entropy(sure, ignored), doctest::Contains("-100"), Error);
}

TEST_CASE("mixup: plans printed one after the other are read back one by one") {
  std::stringstream text;
  const MixPlan first = drawn(3), second = drawn(4);
  text << first << second;
  CHECK(lambdas(read_mix_plan(text)) == lambdas(first));
  CHECK(lambdas(read_mix_plan(text)) == lambdas(second));
  std::istringstream more("0 <- 0.75 * 0 + 0.25 * 0 more"), unequal("0 <- 0.75 * 0 + 0.9 * 0");
  CHECK_THROWS_AS(read_mix_plan(more), Error);
  CHECK_THROWS_AS(read_mix_plan(unequal), Error);
}

TEST_CASE("mixup: the loss wants one lambda for each sample, and says so") {
  const MixedTarget target{Tensor::from<std::int32_t>({0, 1, 2}, {3}), Tensor::from<std::int32_t>({1, 2, 0}, {3}),
                           Tensor::from({0.7f}, {1})};
  const MixUpLoss loss(nn::cross_entropy);
  CHECK_THROWS_WITH_AS(loss(random_normal({3, 3}, 4), target), doctest::Contains("MixUpLoss: lambda is [1]"), Error);
}

TEST_CASE("mixup: the batch-mean switch weighs the mean losses by the mean lambda, as the document's table did") {
  const Tensor logits = random_normal({6, 2}, 6, DType::f64);
  const Tensor labels = Tensor::from<std::int32_t>({0, 1, 1, 0, 0, 1}, {6});
  const MixPlan plan = drawn(6);
  const MixedTarget target = mixed_target(labels, plan);
  const double lambda = mean(Tensor::from(plan.lambda, {6}).to(DType::f64)).item();
  const double expected = lambda * nn::cross_entropy(logits, target.y).item() +
                          (1 - lambda) * nn::cross_entropy(logits, target.partner).item();
  const double batch_mean = MixUpLoss(nn::cross_entropy, LossWeight::batch_mean)(logits, target).item();
  CHECK(batch_mean == doctest::Approx(expected).epsilon(1e-12));
  const auto per_sample = [](const Tensor& output, const Tensor& y) { return nn::cross_entropy_per_sample(output, y); };
  const nn::Loss without_mixed_form{"cross_entropy", nn::PerSample(per_sample)};
  CHECK(MixUpLoss(without_mixed_form, LossWeight::batch_mean)(logits, target).item() ==
        doctest::Approx(expected).epsilon(1e-12));
  CHECK(std::abs(batch_mean - MixUpLoss(nn::cross_entropy)(logits, target).item()) > 1e-4);
}

TEST_CASE("mixup: a lambda that requires a gradient gets one") {
  const Tensor logits = random_normal({2, 3}, 5);
  const Tensor y = Tensor::from<std::int32_t>({0, 1}, {2}), partner = Tensor::from<std::int32_t>({2, 1}, {2});
  const Tensor lambda = Tensor::from({0.75f, 0.5f}, {2}).requires_grad_();
  MixUpLoss(nn::cross_entropy_with({.reduction = nn::Reduction::sum}))(logits, MixedTarget{y, partner, lambda})
      .backward();
  const auto own = nn::cross_entropy.per_sample(logits, y), other = nn::cross_entropy.per_sample(logits, partner);
  CHECK(lambda.grad().to_vector<float>() == (own - other).to_vector<float>());
}

TEST_CASE("mixup: on a target that is not mixed, MixUpLoss is the plain loss bit for bit") {
  const Tensor logits = random_normal({4, 3}, 5);
  const Tensor labels = Tensor::from<std::int32_t>({0, 1, 2, 0}, {4});
  CHECK(MixUpLoss(nn::cross_entropy)(logits, labels).item() == nn::cross_entropy(logits, labels).item());
}

TEST_CASE("mixup: for a loss not linear in its target, the losses are mixed, which is not the loss of the mixture") {
  const nn::Loss squared{
      "squared", [](const Tensor& output, const Tensor& target) { return (output - target) * (output - target); }};
  const Tensor output = Tensor::from({0.5f, 0.5f}, {2}), y = Tensor::from({0.0f, 1.0f}, {2});
  const MixPlan plan = plan_of({0.5f, 0.5f}, {1, 0});
  CHECK(MixUpLoss(squared)(output, mixed_target(y, plan)).item() == doctest::Approx(0.25));
  CHECK(MixUpLoss(squared)(output, mix(y, plan)).item() == doctest::Approx(0.0));
}

TEST_CASE("mixup: Beta is right at every alpha, small ones too, and never nan") {
  for (const double alpha : {1e-3, 1e-2, 0.1, 0.4, 1.0, 2.0, 8.0}) {
    const auto t = lambdas(drawn(20000, {.alpha = alpha, .dedupe = false}));
    double mean = 0, variance = 0;
    for (const float value : t) mean += value / 20000.0;
    for (const float value : t) variance += (value - mean) * (value - mean) / 20000.0;
    const double exact = 1 / (4 * (2 * alpha + 1));
    CAPTURE(alpha);
    CHECK(std::abs(mean - 0.5) < 5 * std::sqrt(exact / 20000));  // five standard errors
    CHECK(std::abs(variance / exact - 1) < 0.05);                // the variance's own error is under 1 %
  }
}

TEST_CASE("mixup: at alpha 0.4, E[max(t, 1-t)] is .840 and the entropy of lambda .346 nats") {
  double larger = 0, entropy = 0;
  const auto lambda = lambdas(drawn(100000));
  for (const float value : lambda) {
    larger += value / 1e5;
    if (value < 1) entropy -= (value * std::log(double{value}) + (1 - value) * std::log1p(-double{value})) / 1e5;
  }
  CHECK(std::abs(larger - 0.840) < 0.0025);  // the standard error is .0005
  CHECK(std::abs(entropy - 0.346) < 0.004);  // the standard error is .0008
}

TEST_CASE("mixup: alpha 0 mixes nothing, alpha 1 is uniform, and a bad alpha is refused by name") {
  const Tensor x = random_normal({8, 3}, 8);
  CHECK(mix(x, drawn(8, {.alpha = 0})).to_vector<float>() == x.to_vector<float>());
  const auto uniform = lambdas(drawn(10000, {.alpha = 1, .dedupe = false}));
  for (const double quantile : {0.1, 0.5, 0.9}) {
    const auto below = std::count_if(uniform.begin(), uniform.end(), [=](float t) { return t < quantile; });
    CHECK(std::abs(static_cast<double>(below) / 10000 - quantile) < 0.025);  // five standard errors
  }
  for (const double alpha : {-0.1, std::nan(""), HUGE_VAL, 1e300})
    CHECK_THROWS_WITH_AS(drawn(4, {.alpha = alpha}), doctest::Contains("alpha must be between 0 and 1e6"), Error);
  for (const std::int64_t size : {std::int64_t{-1}, std::int64_t{1} << 31, std::numeric_limits<std::int64_t>::max()})
    CHECK_THROWS_WITH_AS(drawn(size), doctest::Contains("mixup: batch size"), Error);
}

TEST_CASE("mixup: a batch of one, and a sample paired with itself, stay as they are to the last bit") {
  const Tensor one = random_normal({1, 17}, 9);
  CHECK(mix(one, drawn(1)).to_vector<float>() == one.to_vector<float>());
  const Tensor x = random_normal({3, 50}, 10);
  CHECK(mix(x, plan_of({0.7f, 0.9f, 0.51f}, {0, 1, 2})).to_vector<float>() == x.to_vector<float>());
}

TEST_CASE("mixup: odd batches and empty ones work; a plan of another size is refused") {
  CHECK(mix(random_normal({7, 2}, 1), drawn(7)).shape() == Shape{7, 2});
  CHECK(drawn(0).size() == 0);
  CHECK_THROWS_WITH_AS(mix(random_normal({7, 2}, 1), drawn(6)), doctest::Contains("a plan for 6 samples"), Error);
  CHECK_THROWS_AS(mix(random_normal({7, 2}, 1), random_normal({6, 2}, 1), drawn(7)), Error);
}

TEST_CASE("mixup: at lambda 1 and 0 it is one side exactly, and so it is for equal sides; nothing finite overflows") {
  for (const DType dtype : {DType::f32, DType::f64}) test::check_mix(cpu, dtype);
  const double most = std::numeric_limits<double>::max();
  CHECK(mix(most, -most, 0.5) == 0);
  CHECK(mix(-most, most, 0.125) == 0.75 * most);
  CHECK(mix(most, -1.0, 0.0) == -1);
}

TEST_CASE("mixup: losses are mixed by the same formula, in one pass as well: a weight of 0 hides inf and nan") {
  const float inf = test::infinity<float>;
  const Tensor y = Tensor::from({1e8f, 1.0f, 3e38f, 2.7f, inf, 4.0f}, {6});
  const Tensor partner = Tensor::from({1.0f, 1e8f, -3e38f, 2.7f, 2.0f, test::not_a_number<float>}, {6});
  const nn::Loss target_itself{.name = "target",
                               .per_sample = [](const Tensor&, const Tensor& target) { return target; },
                               .reduction = nn::Reduction::none};
  const auto mixed = [&](const Tensor& lambda, LossWeight weight) {
    return MixUpLoss(target_itself, weight)(Tensor::zeros({6}), MixedTarget{y, partner, lambda}).to_vector<float>();
  };
  CHECK(mixed(Tensor::from({0.0f, 1.0f, 0.5f, 0.3f, 0.0f, 1.0f}, {6}), LossWeight::lambda) ==
        std::vector<float>{1, 1, 0, 2.7f, 2, 4});
  CHECK(mixed(Tensor::ones({6}), LossWeight::batch_mean) == y.to_vector<float>());

  const Tensor logits = Tensor::from({1.0f, 2.0f, -inf, 1.0f, 2.0f, -inf}, {2, 3}),
               ends = Tensor::from({1.0f, 0.0f}, {2});
  const Tensor good = Tensor::from<std::int32_t>({0, 0}, {2}), masked = Tensor::from<std::int32_t>({2, 2}, {2});
  const Tensor loss = nn::cross_entropy.per_sample(slice(logits, 0, 1), slice(good, 0, 1));
  const MixUpLoss mixup(nn::cross_entropy_with({.reduction = nn::Reduction::none}));
  CHECK(mixup(logits, MixedTarget{good, masked, ends}).to_vector<float>()[0] == loss.item());
  CHECK(mixup(logits, MixedTarget{masked, good, ends}).to_vector<float>()[1] == loss.item());
}

TEST_CASE("mixup: images gathered and mixed in one pass are those gathered and then mixed, to the last bit") {
  test::check_gather_mixed(cpu);
}

TEST_CASE("mixup: gathering mixed images refuses indices, partners and lambda that do not fit") {
  const data::ImageDataset dataset({Tensor::zeros({3, 2, 2, 1}, {.dtype = DType::u8}), Tensor::from({0, 1, 0}, {3})},
                                   {"a", "b"});
  const Tensor two = Tensor::from({0, 2}, {2}), half = Tensor::full({2}, 0.5);
  const auto refused = [&](const Tensor& numbers, const Tensor& partners, const Tensor& lambda, const char* words) {
    CHECK_THROWS_WITH_AS(MixUp().gather(*dataset.stored(), numbers, partners, {lambda, Tensor()}),
                         doctest::Contains(words), Error);
  };
  refused(two, Tensor::from({1}, {1}), half, "2] samples with partners i32[1]");
  refused(two, two, two, "with lambda i32[2]");
  refused(half, two, half, "sample indices are f32[2], not i32 [N]");
  refused(two, Tensor::from({0, 3}, {2}), half, "index 3 at position 1 is outside 0..2");
}

TEST_CASE("mixup: class indices are never averaged") {
  const Tensor labels = Tensor::from<std::int32_t>({3, 7}, {2});
  CHECK_THROWS_WITH_AS(mix(labels, drawn(2)), doctest::Contains("one_hot"), Error);
}

TEST_CASE("mixup: images and labels are mixed by one permutation") {
  // Image n is filled with n and has label n; so the partner's value tells the partner's label.
  const Tensor labels = Tensor::from<std::int32_t>({0, 1, 2, 3, 4, 5, 6, 7}, {8});
  const MixPlan plan = drawn(8);
  const auto partner_image = stack_input(labels.to(DType::f32), labels.to(DType::f32), plan).partner.to_vector<float>();
  const auto partner_label = mixed_target(labels, plan).partner.to_vector<std::int32_t>();
  for (std::size_t n = 0; n < 8; ++n) CHECK(partner_image[n] == static_cast<float>(partner_label[n]));
}

TEST_CASE("mixup: lambda is f32 and keeps its 24 bits") {
  const MixPlan plan = drawn(1000);
  const auto lambda = lambdas(plan);
  const auto coarse = std::count_if(lambda.begin(), lambda.end(), [](float value) {
    const float scaled = value * 2048;  // half precision holds 11 bits
    return scaled == std::floor(scaled);
  });
  CHECK(coarse < 250);  // those that round to 1; in half precision it would be all of them
}

TEST_CASE("mixup: a plan can be printed, read back bit for bit, and used again") {
  const MixPlan plan = drawn(50);
  std::stringstream text;
  text << plan;
  const MixPlan again = read_mix_plan(text);
  CHECK(again == plan);
  const Tensor x = random_normal({50, 3}, 11);
  CHECK(mix(x, again).to_vector<float>() == mix(x, plan).to_vector<float>());
  std::ostringstream line;
  line << plan_of({0.75f}, {0});
  CHECK(line.str() == "0 <- 0.75 * 0 + 0.25 * 0\n\n");
}

TEST_CASE("mixup: text that is not a plan is refused") {
  for (const char* text :
       {"nonsense\n", "0 <- 0.75 * 0 + 0.25 * 1\n", "0 <- 1.5 * 0 + -0.5 * 0\n", "1 <- 0.75 * 1 + 0.25 * 0\n",
        "0 <- 0.75 * 0 + 0.25 * 1\n1 <- 0.75 * 1 + 0.25 * 1\n", "0 <- 0.75 * 0 + 0.25 * 0\n",
        "0 <- 0.75 * 0 + 0.25 * 0", "", "0 <- 0.75 * 0 + 0.25 * 0 : 1 x\n\n", "0 <- 0.75 * 0 + 0.25 * 0 1\n\n",
        "0 <- 0.75 * 0 + 0.25 * 1 : 1 2 3\n1 <- 0.75 * 1 + 0.25 * 0 : 4\n\n"}) {
    std::istringstream in(text);
    CHECK_THROWS_AS(read_mix_plan(in), Error);
  }
}

TEST_CASE("mixup: draws depend on the stream alone: seed, epoch and batch each change them") {
  const auto draw = [](std::uint64_t seed, std::uint32_t epoch, std::uint32_t batch) {
    Random random(seed, Purpose::mixup, epoch, batch);
    return lambdas(draw_mix_plan(16, {}, random));
  };
  CHECK(draw(1, 0, 0) == draw(1, 0, 0));
  CHECK(draw(1, 0, 0) != draw(2, 0, 0));
  CHECK(draw(1, 0, 0) != draw(1, 1, 0));
  CHECK(draw(1, 0, 0) != draw(1, 0, 1));
}

TEST_CASE("mixup: a gradient flows through the mixture to both samples, and to lambda") {
  const MixPlan plan = drawn(4);
  const Tensor x = random_normal({4, 3}, 12, DType::f64), partner = random_normal({4, 3}, 13, DType::f64);
  CHECK(gradcheck([&](const std::vector<Tensor>& in) { return mix(in[0], plan); }, {x}) == "");
  const Tensor lambda = Tensor::from({0.1, 0.45, 0.6, 0.9}, {4});
  const auto mixture = [](const std::vector<Tensor>& in) { return mix({in[0], in[1], in[2]}); };
  CHECK(gradcheck(mixture, {x, partner, lambda}) == "");
}

TEST_CASE("MixUpLoss: a loss that was given another per-sample function is mixed by that one") {
  nn::Loss loss = nn::cross_entropy;
  loss.per_sample = [](const Tensor& output, const Tensor& y) { return 2.0 * nn::cross_entropy.per_sample(output, y); };
  const Tensor logits = Tensor::from({1.0f, -1.0f, 0.5f, 2.0f}, {2, 2}), y = Tensor::from({0, 1}, {2});
  const augment::MixedTarget whole{y, Tensor::from({1, 0}, {2}), Tensor::ones({2})};
  CHECK(augment::MixUpLoss(loss)(logits, whole).item() == doctest::Approx(loss(logits, y).item()));
}
