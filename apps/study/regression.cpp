// Numbers as targets, where C-Mixup belongs: how much is the digit that an image shows? Between a 1 and a 9 there is no
// image of a 5, as mixup would have it.
#include <numeric>

#include "apps/study/study.h"

namespace mixgrad::apps {
namespace {

// The samples of a loader with the number that the digit says as target, f32 [N, 1].
std::shared_ptr<data::TensorDataset> as_numbers(const data::DataLoader& loader) {
  std::vector<std::int32_t> all(static_cast<std::size_t>(loader.dataset().size()));
  std::iota(all.begin(), all.end(), 0);
  const data::Batch batch = loader.dataset().get(all);
  return std::make_shared<data::TensorDataset>(batch.x, reshape(batch.y.to(DType::f32), {-1, 1}));
}

StudyArm arm(std::string key, std::string name, const StudyData& data, std::function<void(train::Learner&)> prepare) {
  const Compute compute = [=](const StudySources& sources, std::uint64_t seed) {
    const data::DataLoaders digits = study_loaders(data, sources, seed);
    manual_seed(seed);
    train::Learner learn(
        {{as_numbers(digits.train), digits.train.options()}, {as_numbers(digits.valid), digits.valid.options()}},
        nn::lenet(3, 1), {.loss = nn::mse, .seed = seed, .verbose = false});
    prepare(learn);
    learn.fit(data.epochs);
    StudyRun run;
    for (const train::EpochRecord& epoch : learn.recorder->epochs())
      run.seconds += epoch.seconds / static_cast<double>(data.epochs);
    const train::Predictions all = train::predict(*learn.model, learn.data.valid, {});
    run.measures["squared_error"] = nn::mse(all.output, all.target).item();
    run.measures["absolute_error"] = mean(abs(all.output - all.target)).item();
    return run;
  };
  return {.key = std::move(key), .name = std::move(name), .compute = compute};
}

}  // namespace

Experiment study_regression(bool quick) {
  const StudyData data{.digits = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
                       .samples = quick ? 300 : 1000,
                       .validation = quick ? 200 : 2000,
                       .epochs = quick ? 1 : 20};
  return {
      .key = "numbers",
      .question = "Where targets are numbers, does it help to mix with samples of near targets (C-Mixup)?",
      .data = data,
      .arms = {arm("plain", "without mixup", data, [](train::Learner&) {}),
               arm("mixup-2", "mixup, alpha 2", data,
                   [](train::Learner& learn) { learn.mixup({.alpha = 2, .stack_y = false}); }),
               arm("c-mixup", "C-Mixup, alpha 2, bandwidth 1", data, [](train::Learner& learn) { learn.c_mixup(); })},
      .measures = {"squared_error", "absolute_error"}};
}

}  // namespace mixgrad::apps
