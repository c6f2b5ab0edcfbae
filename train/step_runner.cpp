#include "train/step_runner.h"

#include <optional>

#include "train/captured_runner.h"
#include "train/learner.h"

namespace mixgrad::train {

void PlainRunner::run_batch(Learner& learner, BatchPlan plan, const data::Batch* samples) {
  NamedValues numbers = numbers_of(plan, learner.data.train.dataset(), learner.options.device);
  learner.begin_batch(std::move(plan), std::move(numbers));
  learner.step(samples);
  learner.end_batch();
}

void PlainRunner::run(Learner& learner, const data::DataLoader::Epoch& epoch) {
  const Device device = learner.options.device;
  std::optional<data::DataLoader::Epoch::Iterator> reader;  // it may read ahead, from the first batch on
  if (!learner.data.train.dataset().resident()) reader = epoch.begin();
  for (; learner.batch < epoch.size() && !learner.stopping; ++learner.batch) {
    if (reader) {
      const data::Batch read = **reader, samples{read.x.to(device), read.y.to(device)};
      run_batch(learner, learner.make_plan(epoch, learner.batch, &samples), &samples);
      ++*reader;
    } else {
      run_batch(learner, learner.make_plan(epoch, learner.batch));
    }
    if (learner.stopping) break;
  }
}

std::unique_ptr<StepRunner> plain_runner(const Learner&) { return std::make_unique<PlainRunner>(); }

std::unique_ptr<StepRunner> fastest_runner(const Learner& learner) {
  if (learner.options.device == cpu) return plain_runner(learner);
  std::string obstacle = obstacle_to_capture(learner);
  if (obstacle.empty()) return std::make_unique<CapturedRunner>();
  return std::make_unique<PlainRunner>(std::move(obstacle));
}

}  // namespace mixgrad::train
