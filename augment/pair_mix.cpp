#include "augment/pair_mix.h"

#include "core/index.h"
#include "data/image_dataset.h"

namespace mixgrad::augment {
namespace {

// x, and the rows of partners that the plan pairs with x's.
std::pair<Tensor, MixDraw> paired(const Tensor& x, const Tensor& partners, const MixPlan& plan) {
  check_plan(plan);
  check(x.rank() >= 1 && x.size(0) == plan.size(), "mixup: a plan for ", plan.size(), " samples on a batch of shape ",
        x.shape());
  check(x.shape() == partners.shape(), "mixup: batch ", x.shape(), " and second batch ", partners.shape(), " differ");
  const Tensor rows = Tensor::from(plan.permutation, {plan.size()}).to(x.device());
  return {mixgrad::gather(partners, rows), MixDraw(plan, x.device())};
}

}  // namespace

MixDraw::MixDraw(const MixPlan& plan, Device device)
    : lambda(Tensor::from(plan.lambda, {plan.size()}).to(device)),
      more(Tensor::from(plan.more, {std::ssize(plan.more)}).to(device)) {}

MixedInput stack_input(const Tensor& x, const Tensor& partners, const MixPlan& plan) {
  const auto [partner, draw] = paired(x, partners, plan);
  return {x, partner, draw.lambda};
}

MixedTarget mixed_target(const Tensor& y, const Tensor& partners, const MixPlan& plan) {
  const auto [partner, draw] = paired(y, partners, plan);
  return {y, partner, draw.lambda};
}

MixedTarget mixed_target(const Tensor& y, const MixPlan& plan) { return mixed_target(y, y, plan); }

void PairMix::check_draw(const MixDraw& draw, std::int64_t samples, Device device) const {
  const auto& [lambda, more] = draw;
  const std::int64_t numbers = more ? more.numel() : 0, wanted = more_per_sample() * samples;
  check(lambda.dtype() == DType::f32 && lambda.shape() == Shape{samples}, "mix: ", samples, " samples with lambda ",
        name_of(lambda.dtype()), lambda.shape());
  check(wanted == 0 || (numbers == wanted && more.dtype() == DType::i32), "mix: ", samples, " samples with ", numbers,
        " numbers beside lambda, not i32 [", wanted, "]");
  check_same_device("mix", lambda.device(), device);
  if (wanted > 0) check_same_device("mix", more.device(), device);
}

Tensor PairMix::combine(const Tensor& x, const Tensor& partners, const MixDraw& draw) const {
  check(x.rank() >= 1 && is_floating(x.dtype()) && partners.dtype() == x.dtype() && partners.shape() == x.shape(),
        "mix: samples ", name_of(x.dtype()), x.shape(), " and partners ", name_of(partners.dtype()), partners.shape(),
        ", not floating [N, ...] both");
  check_same_device("mix", x.device(), partners.device());
  check_draw(draw, x.size(0), x.device());
  const Tensor out = Tensor::empty(x.shape(), x.options());
  combine_into({.own = x, .other = partners, .x = out}, draw);
  return out;
}

MixedBatch PairMix::gather(const data::LabelledImages& stored, const Tensor& indices, const Tensor& partners,
                           const MixDraw& draw) const {
  const Tensor x = data::empty_batch(stored, indices);
  check(partners.dtype() == DType::i32 && partners.shape() == indices.shape(), "mix: ", indices.shape(),
        " samples with partners ", name_of(partners.dtype()), partners.shape());
  check_same_device("mix", indices.device(), partners.device());
  check_draw(draw, indices.numel(), x.device());
  const Tensor y = Tensor::empty(indices.shape(), indices.options()), partner = Tensor::empty(y.shape(), y.options());
  combine_into({&stored, indices, partners, x, y, partner}, draw);
  return {x, {y, partner, draw.lambda}};
}

}  // namespace mixgrad::augment
