#include "train/step_runner.h"

#include <optional>

#include "train/captured_runner.h"
#include "train/learner.h"

namespace mixgrad::train {

void PlainRunner::run_batch(Learner& learner, BatchPlan plan, const data::Batch* samples) {
  NamedValues values;
  for (const auto& [name, value] : plan.values) values[name] = value.to(learner.options.device);
  learner.begin_batch(std::move(plan), std::move(values));
  if (samples) learner.set_batch(samples->x.to(learner.options.device), samples->y.to(learner.options.device));
  learner.step();
  learner.end_batch();
}

void PlainRunner::run(Learner& learner, const data::DataLoader::Epoch& epoch) {
  std::optional<data::DataLoader::Epoch::Iterator> reader;  // it may read ahead, from the first batch on
  if (!learner.data.train.resident()) reader = epoch.begin();
  for (; learner.batch < epoch.size() && !learner.stopping; ++learner.batch) {
    BatchPlan plan = learner.make_plan(epoch, learner.batch);
    if (reader) {
      const data::Batch samples = **reader;
      run_batch(learner, std::move(plan), &samples);
      ++*reader;
    } else {
      run_batch(learner, std::move(plan));
    }
    if (learner.stopping) break;
  }
}

std::unique_ptr<StepRunner> make_step_runner(const Learner& learner) {
  if (learner.options.device == cuda && learner.why_not_captured.empty())
    return std::make_unique<CapturedRunner>(learner.options.device);
  return std::make_unique<PlainRunner>();
}

}  // namespace mixgrad::train
