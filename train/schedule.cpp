#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/check.h"
#include "train/learner.h"

namespace mixgrad::train {

namespace {
// Whether that share of training is over. A share that is a sum (.1 + .2) may be rounded up; no batch is as short as
// what is allowed for that.
bool is_reached(double share, double progress) { return progress >= share - 1e-12; }
}  // namespace

Schedule constant(double value) {
  return [=](double) { return value; };
}

Schedule linear(double from, double to) {
  return [=](double progress) { return from + (to - from) * progress; };
}

Schedule trapezoid(double value, double rise, double fall) {
  check(rise >= 0 && fall >= 0 && rise + fall <= 1, "trapezoid: rises for ", rise, " and falls for ", fall,
        " of the whole");
  return [=](double progress) {
    if (progress < rise) return value * progress / rise;
    return 1 - progress < fall ? value * (1 - progress) / fall : value;
  };
}

Schedule cosine(double from, double to) {
  return [=](double progress) { return to + (from - to) * (1 + std::cos(std::numbers::pi * progress)) / 2; };
}

Schedule step(double value, double factor, std::vector<double> at) {
  return [=](double progress) {
    double result = value;
    for (const double share : at)
      if (is_reached(share, progress)) result *= factor;
    return result;
  };
}

Schedule sequence(std::vector<std::pair<double, Schedule>> parts) {
  check(!parts.empty(), "sequence: needs at least one schedule");
  double before = 0;
  for (std::size_t i = 0; i + 1 < parts.size(); ++i) before += parts[i].first;
  check(before < 1, "sequence: all but the last of the parts take ", before, " of the whole");
  parts.back().first = 1 - before;
  for (const auto& [share, schedule] : parts) check(share > 0, "sequence: a share of ", share);
  return [parts](double progress) {
    std::size_t i = 0;
    for (; i + 1 < parts.size() && is_reached(parts[i].first, progress); ++i) progress -= parts[i].first;
    return parts[i].second(std::clamp(progress / parts[i].first, 0.0, 1.0));
  };
}

Schedule one_cycle_lr(double lr_max, const OneCycleOptions& options) {
  return sequence({{options.rise, cosine(lr_max / options.div, lr_max)},
                   {1 - options.rise, cosine(lr_max, lr_max / options.final_div)}});
}

Schedule one_cycle_momentum(const OneCycleOptions& options) {
  return sequence({{options.rise, cosine(options.high_momentum, options.low_momentum)},
                   {1 - options.rise, cosine(options.low_momentum, options.high_momentum)}});
}

std::string LrSchedule::description() const {
  std::string text = group_ ? text_of("LrSchedule: group ", *group_, ", lr") : "LrSchedule: lr";
  for (int tenths = 0; tenths <= 10; ++tenths) text += text_of(" ", lr_(tenths / 10.0));
  if (!momentum_) return text;
  text += ", momentum";
  for (int tenths = 0; tenths <= 10; ++tenths) text += text_of(" ", momentum_(tenths / 10.0));
  return text;
}

void LrSchedule::on_batch_plan(Learner& learner, BatchPlan& plan) {
  // One division of whole numbers: then 3 of 15 batches are the share 0.2, to the last bit.
  const std::int64_t done = learner.epoch * learner.data.train.num_batches() + plan.batch;
  const double progress = static_cast<double>(done) / static_cast<double>(learner.total_batches());
  check(!group_ || *group_ < plan.rates.size(), "LrSchedule: there is no group ", group_.value_or(0),
        ", the optimizer has ", plan.rates.size());
  for (std::size_t group = group_.value_or(0); group < (group_ ? *group_ + 1 : plan.rates.size()); ++group) {
    plan.rates[group].lr = lr_(progress);
    if (momentum_) plan.rates[group].momentum = momentum_(progress);
  }
}

}  // namespace mixgrad::train
