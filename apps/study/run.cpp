#include <algorithm>

#include "apps/study/study.h"

namespace mixgrad::apps {
namespace {

// Samples of the data, drawn by the seed, and as many wrong labels as are wanted.
data::LabelledImages drawn(const data::LabelledImages& all, const StudyData& data, std::uint32_t classes,
                           std::uint64_t seed) {
  Random random(seed, Purpose::split);
  std::vector<std::int32_t> rows = random.permutation(all.labels.numel());
  if (data.samples > 0) rows.resize(static_cast<std::size_t>(std::min(data.samples, all.labels.numel())));
  const Tensor chosen = Tensor::from(rows, {std::ssize(rows)});
  std::vector<std::int32_t> labels = gather(all.labels, chosen).to_vector<std::int32_t>();
  const auto wrong = static_cast<std::size_t>(data.wrong_labels * static_cast<double>(labels.size()) + 0.5);
  for (std::size_t i = 0; i < wrong; ++i)  // the samples are in random order already
    labels[i] =
        static_cast<std::int32_t>((static_cast<std::uint32_t>(labels[i]) + 1 + random.below(classes - 1)) % classes);
  return {gather(all.images, chosen), Tensor::from(labels, {std::ssize(labels)}), all.channels};
}

// The document's network for two classes, LeNet for ten digits, a small residual network for CIFAR-10.
nn::Sequential model_for(const StudyData& data) {
  if (data.cifar10()) return nn::Sequential(nn::cifar10_normalise(), nn::resnet(3, 10));
  if (data.digits.size() == 2) return nn::simple_cnn({3, 16, 16, 2});
  return nn::lenet(3, std::ssize(data.digits));
}

// A dataset's samples, or so many of them: the same ones for every seed.
std::shared_ptr<data::ImageDataset> some_of(const data::LabelledImages& all, std::int64_t samples,
                                            const std::vector<std::string>& classes) {
  return std::make_shared<data::ImageDataset>(samples > 0 ? drawn(all, {.samples = samples}, 1, 0) : all, classes);
}

}  // namespace

data::DataLoaders study_loaders(const StudyData& data, const StudySources& sources, std::uint64_t seed) {
  const StudyImages& images = data.cifar10() ? sources.cifar10.value() : sources.mnist;
  const std::vector<std::int32_t> digits(data.digits.begin(), data.digits.end());
  std::vector<std::string> names = data::cifar10_classes();
  if (!data.cifar10()) {
    names.clear();
    for (const int digit : digits) names.push_back(std::to_string(digit));
  }
  const auto chosen = [&](const data::LabelledImages& all) { return data.cifar10() ? all : data::select(all, digits); };
  const auto classes = static_cast<std::uint32_t>(names.size());
  const auto train = std::make_shared<data::ImageDataset>(drawn(chosen(images.train), data, classes, seed), names);
  const auto valid = some_of(chosen(images.valid), data.validation, names);
  const std::int64_t batch_size = train->size() < 640 ? 16 : 64;
  return {data::DataLoader(train, {.batch_size = batch_size, .shuffle = true, .drop_last = true, .seed = seed}),
          data::DataLoader(valid, {.batch_size = 500})};
}

std::optional<StudyRun> run_study(const Experiment& experiment, const StudyArm& arm, std::uint64_t seed,
                                  const StudySources& sources, std::shared_ptr<train::Callback> callback) {
  if (arm.compute) return arm.compute(sources, seed);
  manual_seed(seed);
  const data::DataLoaders loaders = study_loaders(experiment.data, sources, seed);
  const data::Dataset& valid = loaders.valid.dataset();
  const auto after_each_epoch = some_of(*valid.stored(), valid.size() > 2100 ? 2000 : 0, valid.classes());
  train::Learner learn(
      {loaders.train, {after_each_epoch, {.batch_size = 500}}}, arm.model ? arm.model() : model_for(experiment.data),
      {.metrics = {train::accuracy},
       .train_metrics = experiment.wants("loss_floor") ? std::vector<train::TrainMetric>{train::loss_floor}
                                                       : std::vector<train::TrainMetric>{},
       .seed = seed,
       .verbose = false});
  arm.prepare(learn);
  learn.add(std::move(callback));
  learn.fit(experiment.data.epochs);
  if (learn.stopping) return {};
  const auto& epochs = learn.recorder->epochs();
  StudyRun run;
  Measures& measures = run.measures;
  for (const train::EpochRecord& epoch : epochs) {
    measures["best_accuracy"] = std::max(measures["best_accuracy"], epoch.metrics[0]);
    run.seconds += epoch.seconds / static_cast<double>(epochs.size());
  }
  const train::EpochRecord &first = epochs.front(), &last = epochs.back();
  measures["train_loss"] = last.train_loss;
  measures["first_accuracy"] = first.metrics[0];
  measures["first_loss"] = first.train_loss;
  measures["first_valid_loss"] = first.valid_loss;
  if (experiment.wants("loss_floor")) {
    measures["loss_floor"] = last.train_metrics[0];
    measures["above_floor"] = last.train_loss - last.train_metrics[0];
  }
  measure(experiment, learn, loaders.valid, measures);
  return run;
}

}  // namespace mixgrad::apps
