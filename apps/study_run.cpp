#include <algorithm>
#include <numeric>

#include "apps/study.h"

namespace mixgrad::apps {
namespace {

// So many of the images, drawn by the seed, and as many wrong labels as are wanted.
data::LabelledImages drawn(const data::LabelledImages& all, const StudyData& data, std::uint64_t seed) {
  const auto classes = static_cast<std::uint32_t>(data.digits.size());
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

// One step against the model (Goodfellow, Shlens and Szegedy, "Explaining and harnessing adversarial examples", 2014):
// x + size sign(d loss / d x), kept in 0..1.
Tensor fgsm(nn::Module& model, const Tensor& x, const Tensor& y, double size) {
  const Tensor leaf = x.clone().requires_grad_();
  nn::cross_entropy(model(leaf), y).backward();
  const NoGrad off;
  const Tensor gradient = leaf.grad(), zero = Tensor::zeros({});
  const Tensor sign = less(zero, gradient).to(DType::f32) - less(gradient, zero).to(DType::f32);
  return clamp(x + size * sign, 0, 1);
}

// What is not known from the table.
void measure(train::Learner& learn, Measures& measures) {
  nn::Module& model = *learn.model;
  const nn::EvalMode eval(model);
  const train::Predictions all = train::predict(model, learn.data.valid, {});
  const Tensor p = softmax(all.output);
  measures["confidence"] = train::confidence_of(all.output, all.target).item();
  measures["entropy"] = -mean(sum(weighted(p, log_softmax(all.output)), 1)).item();
  measures["calibration_error"] = train::calibration(all.output, all.target).error;
  measures["brier"] = train::brier_of(all.output, all.target).item();
  double right = 0, samples = 0;
  for (const data::Batch& batch : learn.data.valid.epoch(0)) {
    const Tensor attacked = fgsm(model, batch.x, batch.y, 0.1);
    right += train::accuracy_of(learn.predict(attacked), batch.y).item() * static_cast<double>(batch.size());
    samples += static_cast<double>(batch.size());
  }
  measures["fgsm_accuracy"] = right / samples;
}

}  // namespace

StudyImages read_study_images(const std::string& folder) {
  if (!folder.empty())
    return {data::read_mnist(folder, data::Split::train), data::read_mnist(folder, data::Split::valid)};
  return {data::synthetic_digits(20000, 1, data::Split::train), data::synthetic_digits(4000, 1, data::Split::valid)};
}

std::optional<Measures> run_study(const Experiment& experiment, const StudyArm& arm, std::uint64_t seed,
                                  const StudyImages& images, std::shared_ptr<train::Callback> callback) {
  const StudyData& data = experiment.data;
  const std::vector<std::int32_t> digits(data.digits.begin(), data.digits.end());
  std::vector<std::string> names;
  for (const int digit : data.digits) names.push_back(std::to_string(digit));
  const auto train = std::make_shared<data::ImageDataset>(drawn(data::select(images.train, digits), data, seed), names);
  const auto valid = std::make_shared<data::ImageDataset>(data::select(images.valid, digits), names);
  const std::int64_t batch_size = train->size() < 640 ? 16 : 64;
  manual_seed(seed);
  const auto classes = std::ssize(digits);
  const nn::Sequential model = classes == 2 ? nn::simple_cnn({3, 16, 16, 2}) : nn::lenet(3, classes);
  train::Learner learn(
      {data::DataLoader(train, {.batch_size = batch_size, .shuffle = true, .drop_last = true, .seed = seed}),
       data::DataLoader(valid, {.batch_size = 500})},
      model, {.metrics = {train::accuracy}, .seed = seed, .verbose = false});
  arm.prepare(learn);
  learn.add(std::move(callback));
  learn.fit(data.epochs);
  if (learn.stopping) return {};
  Measures measures;
  const auto& epochs = learn.recorder->epochs();
  for (const train::EpochRecord& epoch : epochs)
    measures["best_accuracy"] = std::max(measures["best_accuracy"], epoch.metrics[0]);
  measures["accuracy"] = epochs.back().metrics[0];
  measures["valid_loss"] = epochs.back().valid_loss;
  measures["train_loss"] = epochs.back().train_loss;
  measures["first_loss"] = epochs.front().train_loss;
  measure(learn, measures);
  return measures;
}

}  // namespace mixgrad::apps
