// Mistakes in mixing a batch. Each test states a law: mixgrad obeys it, the code in `wrong` breaks it.
#include <doctest/doctest.h>

#include "mixgrad.h"
#include "tests/points.h"
#include "tests/same.h"

namespace mixgrad::mixup_bugs::mixing {
namespace {

using namespace augment;
using test::same;

Tensor normals(const Shape& shape) {
  Random random(1);
  std::vector<float> values(static_cast<std::size_t>(shape.numel()));
  for (float& value : values) value = static_cast<float>(random.normal());
  return Tensor::from(values, shape);
}

// mixgrad's mixture of a batch, whatever its size.
Tensor mixed(const Tensor& x) {
  Random random(2);
  return mix(x, draw_mix_plan(x.size(0), {}, random));
}

// An image batch mixed, and its labels.
struct Both {
  Tensor x;
  MixedTarget y;
};
Both mix_both(const Tensor& x, const Tensor& y) {
  Random random(2);
  const MixPlan plan = draw_mix_plan(x.size(0), {}, random);
  return {mix(x, plan), mixed_target(y, plan)};
}

Tensor rows_of_partners(const Tensor& x, const MixPlan& plan) {
  return gather(x, Tensor::from(plan.permutation, {plan.size()}));
}

namespace wrong {

// wrong: the plan is for the loader's batch size, and the last batch is shorter
Tensor mixed_as_four(const Tensor& x) {
  Random random(2);
  return mix(x, draw_mix_plan(4, {}, random));
}

// wrong: of equal sides, two products and a sum are not the same number, but a rounded one
Tensor mixed_by_two_products(const Tensor& x) {
  Random random(2);
  const MixPlan plan = draw_mix_plan(x.size(0), {}, random);
  const Tensor lambda = reshape(Tensor::from(plan.lambda, {plan.size()}), {-1, 1});
  return lambda * x + (1.0 - lambda) * rows_of_partners(x, plan);
}

// wrong: a column [N, 1] is aligned with the last two axes, so it only fits a batch [N, C]
Tensor mix_by_column(const Tensor& x, const MixPlan& plan) {
  const Tensor lambda = reshape(Tensor::from(plan.lambda, {plan.size()}), {-1, 1});
  return lambda * x + (1.0 - lambda) * rows_of_partners(x, plan);
}

// wrong: the labels get a permutation of their own
Both shuffle_twice(const Tensor& x, const Tensor& y) {
  Random random(2);
  MixPlan plan = draw_mix_plan(x.size(0), {}, random);
  const Tensor mixed = mix(x, plan);
  plan.permutation = random.permutation(x.size(0));
  return {mixed, mixed_target(y, plan)};
}

// wrong: it writes to x, and a later row reads as its partner what is mixed already
Tensor mix_in_place(const Tensor& x, const MixPlan& plan) {
  float* const values = x.mutable_data<float>();
  const std::int64_t width = x.numel() / x.size(0);
  for (std::int64_t n = 0; n < plan.size(); ++n)
    for (std::int64_t i = 0; i < width; ++i) {
      const auto row = static_cast<std::size_t>(n);
      float& own = values[n * width + i];
      own = mix(own, values[plan.permutation[row] * width + i], plan.lambda[row]);
    }
  return x;
}

}  // namespace wrong
}  // namespace

TEST_CASE("mixup bug 7: a short last batch, or a batch of one, is not mixed rightly") {
  // Batches of 4, 4 and 1.
  const data::DataLoaders loaders = test::loaders(normals({9, 100}), Tensor::zeros({9}, {.dtype = DType::i32}), 4);
  // Law: the mixture of every batch has as many samples.
  const auto keeps_size = [&](const auto& mix_batch) {
    try {
      for (const data::Batch& batch : loaders.train.epoch(0))
        if (mix_batch(batch.x).shape() != batch.x.shape()) return false;
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  // Law: a batch of one stays as it is, bit for bit.
  const auto keeps_one = [&](const auto& mix_batch) {
    const Tensor last = loaders.train.epoch(0)[2].x;
    return last.size(0) == 1 && same(mix_batch(last), last);
  };
  CHECK(keeps_size(mixed));
  CHECK(keeps_one(mixed));
  CHECK_FALSE(keeps_size(wrong::mixed_as_four));
  CHECK_FALSE(keeps_one(wrong::mixed_by_two_products));
}

TEST_CASE("mixup bug 13: lambda is broadcast along another axis than the samples'") {
  // Law: the shape of a sample does not matter: flattened, mixed and shaped back it is the same mixture. All extents
  // are equal, so that any broadcast is possible.
  const auto law = [](const auto& mix_batch, const Shape& shape) {
    const MixPlan plan{{0.75f, 0.5f, 1.0f}, {2, 0, 1}};
    const Tensor x = normals(shape);
    return same(mix_batch(x, plan), reshape(mix_batch(flatten(x), plan), shape));
  };
  const auto mix_batch = [](const Tensor& x, const MixPlan& plan) { return mix(x, plan); };
  for (const Shape& shape : {Shape{3, 3}, Shape{3, 3, 3}, Shape{3, 3, 3, 3}, Shape{3, 3, 3, 3, 3}}) {
    CAPTURE(shape);
    CHECK(law(mix_batch, shape));
    CHECK(law(wrong::mix_by_column, shape) == (shape.rank() == 2));
  }
}

TEST_CASE("mixup bug 15: images and labels are shuffled by different permutations") {
  // Law: where an image shows nothing but its label, its mixture shows the mixture of both labels.
  const auto law = [](const auto& mix_batch) {
    const Tensor labels = Tensor::from<std::int32_t>({0, 1, 2, 3, 4, 5, 6, 7}, {8});
    const auto [x, y] = mix_batch(labels.to(DType::f32), labels);
    return same(x, mix(MixedInput{y.y.to(DType::f32), y.partner.to(DType::f32), y.lambda}));
  };
  CHECK(law(mix_both));
  CHECK_FALSE(law(wrong::shuffle_twice));
}

TEST_CASE("mixup bug 16: a batch is overwritten while it is mixed") {
  const MixPlan plan{{0.5f, 0.5f, 0.5f, 0.5f}, {3, 2, 1, 0}};
  // Law: the batch is left as it was.
  const auto leaves_source = [&](const auto& mix_batch) {
    const Tensor x = normals({4, 5}), before = x.clone();
    mix_batch(x, plan);
    return same(x, before);
  };
  // Law: two samples that are each other's partners, half and half, have equal mixtures.
  const auto is_symmetric = [&](const auto& mix_batch) {
    const Tensor halves = mix_batch(normals({4, 5}), plan),
                 reversed = gather(halves, Tensor::from(plan.permutation, {4}));
    return test::largest_difference(halves, reversed) < 1e-6;  // a rounding or two of numbers of size 1
  };
  const auto mix_batch = [](const Tensor& x, const MixPlan& by) { return mix(x, by); };
  CHECK(leaves_source(mix_batch));
  CHECK(is_symmetric(mix_batch));
  CHECK_FALSE(leaves_source(wrong::mix_in_place));
  CHECK_FALSE(is_symmetric(wrong::mix_in_place));
}

}  // namespace mixgrad::mixup_bugs::mixing
