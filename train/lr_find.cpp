#include "train/lr_find.h"

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "core/random.h"
#include "train/snapshot.h"

namespace mixgrad::train {
namespace {

class RangeTest : public Callback {
 public:
  explicit RangeTest(const LrFindOptions& options) : options_(options) {}

  void on_batch_plan(Learner&, BatchPlan& plan) override {
    const double share = static_cast<double>(planned_++) / (options_.steps - 1);
    set_lr(plan.rates, options_.from * std::pow(options_.to / options_.from, share));
  }
  void on_batch_end(Learner& learner) override {
    constexpr double decay = 0.9;
    average_ = decay * average_ + (1 - decay) * learner.loss.item();
    weight_ = decay * weight_ + (1 - decay);
    const double loss = average_ / weight_;
    if (std::isfinite(loss)) {
      curve.lr.push_back(learner.optimizer->rates.front().lr);
      curve.loss.push_back(loss);
      best_ = std::min(best_, loss);
    }
    if (!(loss <= 4 * best_) || std::ssize(curve.lr) == options_.steps) learner.stop();
  }

  LrCurve curve;

 private:
  LrFindOptions options_;
  int planned_ = 0;  // batches, on the GPU some ahead of those that are over
  double average_ = 0, weight_ = 0, best_ = INFINITY;
};

// Restores the learner on destruction.
class Restore : NonCopyable {
 public:
  explicit Restore(Learner& learner)
      : pass_(learner.pass, learner.pass),
        rates_(learner.optimizer->rates, learner.optimizer->rates),
        random_(random_state(), random_state()),
        snapshot_(learner) {}
  ~Restore() { snapshot_.restore(); }

 private:
  Temporarily<std::uint32_t> pass_;
  Temporarily<std::vector<Rates>> rates_;
  Temporarily<RandomState> random_;
  Snapshot snapshot_;
};

// The middle of the 2 half + 1 points before the minimum whose least-squares line falls most steeply; a tenth of the
// minimum's rate where there are fewer.
double steepest(const LrCurve& curve, std::ptrdiff_t half) {
  if (curve.lr.empty()) return 0;
  const auto loss = curve.loss.begin(), lr = curve.lr.begin();
  const std::ptrdiff_t minimum = std::min_element(loss, curve.loss.end()) - loss;
  double suggestion = lr[minimum] / 10, least = INFINITY;
  for (std::ptrdiff_t middle = half; middle + half <= minimum; ++middle) {
    double slope = 0;  // but for a factor
    for (std::ptrdiff_t k = -half; k <= half; ++k) slope += static_cast<double>(k) * loss[middle + k];
    if (slope >= least) continue;
    least = slope;
    suggestion = lr[middle];
  }
  return suggestion;
}

}  // namespace

LrCurve lr_find(Learner& learner, const LrFindOptions& options) {
  check(options.from > 0 && options.from < options.to && std::isfinite(options.to), "lr_find: from ", options.from,
        " to ", options.to);
  check(options.steps >= 20, "lr_find: ", options.steps, " steps are too few for a curve");
  const auto test = std::make_shared<RangeTest>(options);
  const Restore restore(learner);
  const std::int64_t epochs = (options.steps - 1) / learner.data.train.num_batches() + 1;
  learner.fit_with(test, static_cast<double>(epochs));
  test->curve.suggestion = steepest(test->curve, std::max(2, options.steps / 20));
  return test->curve;
}

}  // namespace mixgrad::train
