// Mistakes in how mixup takes part in training. Each test states a law: mixgrad obeys it, the code in `wrong` breaks
// it.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <utility>

#include "mixgrad.h"
#include "tests/points.h"
#include "tests/training.h"

namespace mixgrad::mixup_bugs::training {
namespace {

using namespace augment;
using namespace train;
using test::At;
using test::at;
using test::points;
using test::with_sgd;

// A linear model that takes both sides of stack_x as well.
struct TakesPairs : nn::Module {
  nn::Linear linear{2, 2};
  Tensor forward(const Tensor& x) override { return linear(x); }
  Tensor forward_many(std::span<const Tensor> inputs) override {
    return linear(mix(MixedInput{inputs[0], inputs[1], inputs[2]}));
  }
  void visit(nn::Visitor& visitor) override { visitor.child("linear", linear); }
  std::string name() const override { return "TakesPairs"; }
};

enum class End { complete, stop, exception, lr_find };

// Trains until that end, and then returns whether the loss is the plain one, which refuses a mixed target.
bool is_plain_after(End end, const std::shared_ptr<Callback>& mixup) {
  Learner learn(points(32), nn::Linear(2, 2), with_sgd());
  learn.add(mixup).add(at(&At::batch_end, [end](Learner& learner) {
    if (end == End::stop) learner.stop();
    check(end != End::exception, "in training");
  }));
  try {
    if (end == End::lr_find) lr_find(learn, {.steps = 20});
    else learn.fit(2);
  } catch (const Error&) {
  }
  try {
    const Tensor label = Tensor::from<std::int32_t>({0}, {1});
    learn.loss_function(Tensor::zeros({1, 2}), MixedTarget{label, label, Tensor::ones({1})});
    return false;
  } catch (const Error&) {
    return true;
  }
}

namespace wrong {

// wrong: the loss is put back before the last validation, which is skipped when training ends early
struct RestoresAtTheLastEpoch : MixUpCallback {
  void on_validate_begin(Learner& learner) override {
    if (learner.epoch + 1 >= learner.epochs) MixUpCallback::on_train_end(learner);
  }
  void on_train_end(Learner&) noexcept override {}
};

// wrong: with stack_y = false no loss was taken away, and the one that is put back is empty
struct AlwaysRestores : MixUpCallback {
  explicit AlwaysRestores(const MixUpOptions& options) : MixUpCallback(options), stack_y(options.stack_y) {}
  void on_train_begin(Learner& learner) override {
    if (stack_y) original = std::exchange(learner.loss_function, MixUpLoss(learner.options.loss));
  }
  void on_train_end(Learner& learner) noexcept override { learner.loss_function = original; }

  bool stack_y;
  std::function<Tensor(const Tensor&, const Target&)> original;
};

// wrong: loss_function is the loss of training, which is wrapped meanwhile; options.loss is the plain one
double evaluate(Learner& learner) {
  double sum = 0;
  for (const data::Batch& batch : learner.data.valid.epoch(0))
    sum += learner.loss_function(learner.predict(batch.x), batch.y).item();
  return sum / static_cast<double>(learner.data.valid.num_batches());
}

// wrong: counts one of the two labels alone
Tensor accuracy_of_own(const Tensor& output, const MixedTarget& target) { return accuracy_of(output, target.y); }

// wrong: samples are mixed where they are read, those of validation as well
struct MixedSamples : test::NotResident {
  using NotResident::NotResident;
  data::Batch get(std::span<const std::int32_t> indices) const override {
    const data::Batch clean = NotResident::get(indices);
    Random random(5, Purpose::mixup, 0, static_cast<std::uint32_t>(indices[0]));
    const MixPlan plan = draw_mix_plan(clean.size(), {}, random);
    return {mix(clean.x, plan), mix(one_hot(clean.y, 2), plan)};
  }
};
data::DataLoaders mixed_points() {
  const data::Batch all = points(32, 32).train.epoch(0)[0];
  const auto clean = std::make_shared<data::TensorDataset>(all.x, all.y, points(32).classes());
  const auto samples = std::make_shared<MixedSamples>(clean);
  return {data::DataLoader(samples, {.batch_size = 8}), data::DataLoader(samples, {.batch_size = 8})};
}

}  // namespace wrong
}  // namespace

TEST_CASE("mixup bug 4: the loss stays wrapped after an exception, an early stop or lr_find") {
  // Law: the loss is the same after training as before, however training ends.
  for (const End end : {End::complete, End::stop, End::exception, End::lr_find}) {
    CAPTURE(static_cast<int>(end));
    CHECK(is_plain_after(end, std::make_shared<MixUpCallback>()));
    CHECK(is_plain_after(end, std::make_shared<wrong::RestoresAtTheLastEpoch>()) == (end == End::complete));
  }
}

TEST_CASE("mixup bug 5: with stack_y = false the end of training crashes") {
  // Law: with every combination of its flags mixup trains, and trains again.
  const auto law = [](const std::shared_ptr<Callback>& mixup) {
    Learner learn(points(20), TakesPairs(), with_sgd());
    learn.add(mixup);
    try {
      for (int fit = 0; fit < 2; ++fit) learn.fit(1);
      return std::isfinite(learn.recorder->epochs().back().train_loss);
    } catch (const std::bad_function_call&) {
      return false;
    }
  };
  for (const bool stack_x : {false, true})
    for (const bool stack_y : {false, true}) {
      CAPTURE(stack_x);
      CAPTURE(stack_y);
      const MixUpOptions options{.stack_x = stack_x, .stack_y = stack_y};
      CHECK(law(std::make_shared<MixUpCallback>(options)));
      CHECK(law(std::make_shared<wrong::AlwaysRestores>(options)) == stack_y);
    }
}

TEST_CASE("mixup bug 6: evaluation meets the wrapped loss") {
  // Law: during training, evaluation gives what it gives afterwards, be the loss wrapped in one that knows only mixed
  // targets.
  const auto law = [](const auto& evaluate) {
    Learner learn(points(32), nn::Linear(2, 2), with_sgd());
    learn.mixup().add(at(&At::train_begin, [](Learner& learner) {
      learner.loss_function = [mixup = MixUpLoss(learner.options.loss)](const Tensor& output, const Target& target) {
        return mixup(output, std::get<MixedTarget>(target));
      };
    }));
    double during = 0;
    learn.add(at(&At::epoch_end, [&](Learner& learner) { during = evaluate(learner); }));
    try {
      learn.fit(1);
    } catch (const std::bad_variant_access&) {
      return false;
    }
    return during == evaluate(learn);
  };
  CHECK(law([](Learner& learner) { return learner.validate().loss; }));
  CHECK(law([](Learner& learner) { return sum(learner.predict(Tensor::ones({1, 2}))).item(); }));
  CHECK_FALSE(law(wrong::evaluate));
}

TEST_CASE("mixup bug 9: training accuracy counts one of the two labels alone") {
  // Law: a pair is the same pair seen from its other side.
  const auto law = [](const auto& accuracy) {
    const Tensor output = Tensor::from<float>({2, 0, 0, 2, 2, 0}, {3, 2});
    const Tensor y = Tensor::from<std::int32_t>({0, 0, 1}, {3}), partner = Tensor::from<std::int32_t>({0, 1, 0}, {3});
    const Tensor lambda = Tensor::from({0.5f, 0.75f, 0.875f}, {3});
    const MixedTarget one_side{y, partner, lambda}, other_side{partner, y, 1.0 - lambda};
    return accuracy(output, one_side).item() == accuracy(output, other_side).item();
  };
  CHECK(law(mixed_accuracy_of));
  CHECK_FALSE(law(wrong::accuracy_of_own));
}

TEST_CASE("mixup bug 18: validation data are mixed") {
  // Law: the validation loss that is reported is that of the clean samples.
  const auto law = [](const data::DataLoaders& loaders, bool with_mixup) {
    manual_seed(1);
    Learner learn(loaders, nn::Linear(2, 2), with_sgd());
    if (with_mixup) learn.mixup();
    learn.fit(1);
    const data::Batch clean = points(32, 32).valid.epoch(0)[0];  // all samples
    const double loss = nn::cross_entropy(learn.predict(clean.x), clean.y).item();
    return std::abs(learn.validation->loss - loss) < 1e-5;  // a mean of means in f32, and one over all
  };
  CHECK(law(points(32), true));
  CHECK_FALSE(law(wrong::mixed_points(), false));
}

}  // namespace mixgrad::mixup_bugs::training
