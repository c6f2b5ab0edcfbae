// Schedules: how a quantity, mostly the learning rate, changes in the course of training.
//
//   learn.add(std::make_shared<train::LrSchedule>(train::cosine(3e-3, 0)));
//   learn.fit(10);
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

// The value at a share of training between 0, the first batch, and 1, the end.
using Schedule = std::function<double(double progress)>;

Schedule constant(double value);
Schedule linear(double from, double to);
// Rises in a line from 0 to `value` in the first `rise` of training, falls in a line to 0 in the last `fall`.
Schedule trapezoid(double value, double rise, double fall);
Schedule cosine(double from, double to);  // to + (from - to) (1 + cos(pi progress)) / 2
// `value`, multiplied by `factor` at each of the given shares of training, from the first batch on that begins there.
Schedule step(double value, double factor, std::vector<double> at);
// One schedule after the other, each for its share of training; the last one takes what is left.
Schedule sequence(std::vector<std::pair<double, Schedule>> parts);

// Smith, "A disciplined approach to neural network hyper-parameters", 2018, as fastai v1 has it: the learning rate
// rises from lr_max / div to lr_max in the first `rise` of training and falls to lr_max / final_div in the rest, each
// by a cosine, while momentum does the reverse.
struct OneCycleOptions {
  double rise = 0.3;
  double div = 25;
  double final_div = 2.5e5;
  double high_momentum = 0.95, low_momentum = 0.85;
};
Schedule one_cycle_lr(double lr_max, const OneCycleOptions& options = {});
Schedule one_cycle_momentum(const OneCycleOptions& options = {});

// Sets the optimizer's learning rate, and its momentum if there is a schedule for that, before every batch: of all
// groups of parameters, or of one, by its number from 0. Of several, the last one that was added has the last word.
class LrSchedule : public Callback, public Resumable {
 public:
  explicit LrSchedule(Schedule lr, Schedule momentum = {}, std::optional<std::size_t> group = {})
      : lr_(std::move(lr)), momentum_(std::move(momentum)), group_(group) {}

  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  std::string description() const override;

 private:
  Schedule lr_;
  Schedule momentum_;  // empty: none
  std::optional<std::size_t> group_;
};

}  // namespace mixgrad::train
