// What tests of training begin with: drawn digits, options, functions at hooks; and the weights they end with.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::test {

// Samples that are read when they are asked for, instead of held in a device's memory: what workers are for.
struct NotResident : data::Dataset {
  explicit NotResident(std::shared_ptr<const data::Dataset> samples) : samples(std::move(samples)) {}
  std::int64_t size() const override { return samples->size(); }
  data::Batch get(std::span<const std::int32_t> indices) const override { return samples->get(indices); }
  const std::vector<std::string>& classes() const override { return samples->classes(); }
  std::shared_ptr<const data::Dataset> samples;
};

// Every other row and column of grey images.
inline Tensor halved(const Tensor& images) {
  const std::int64_t count = images.size(0), height = images.size(1) / 2, width = images.size(2) / 2;
  std::vector<std::uint8_t> pixels;
  for (std::int64_t i = 0; i < count * height * width; ++i)
    pixels.push_back(images.data<std::uint8_t>()[4 * (i / width) * width + 2 * (i % width)]);
  return Tensor::from(pixels, {count, height, width, 1});
}

// Loaders over `count` drawn 3s and 7s, the same for training and validation; with workers not resident. Of 28 x 28
// pixels, or small ones of 14 x 14.
inline data::DataLoaders digits(std::int64_t count, data::LoaderOptions train = {.batch_size = 16, .shuffle = true},
                                bool small = false) {
  const std::array<std::int32_t, 2> classes{3, 7};
  auto images = data::select(data::synthetic_digits(5 * count, 1, data::Split::train), classes);
  images = {slice(images.images, 0, count), slice(images.labels, 0, count)};
  if (small) images.images = halved(images.images);
  const auto dataset = std::make_shared<data::ImageDataset>(images, std::vector<std::string>{"3", "7"});
  const auto trained = [&]() -> std::shared_ptr<const data::Dataset> {
    if (train.workers > 0) return std::make_shared<NotResident>(dataset);
    return dataset;
  }();
  return {data::DataLoader(trained, train), data::DataLoader(dataset, {.batch_size = 16})};
}

// The default optimizer, and nothing printed.
inline train::LearnerOptions quiet() { return {.metrics = {train::accuracy}, .seed = 5, .verbose = false}; }

// Runs functions at hooks.
struct At : train::StepCallback {
  using Function = std::function<void(train::Learner&)>;
  Function train_begin, batch_begin, backward_begin, backward_end, batch_end, validate_begin, epoch_end;
  void on_train_begin(train::Learner& learner) override { run(train_begin, learner); }
  void on_batch_begin(train::Learner& learner) override { run(batch_begin, learner); }
  void on_backward_begin(train::Learner& learner) override { run(backward_begin, learner); }
  void on_backward_end(train::Learner& learner) override { run(backward_end, learner); }
  void on_batch_end(train::Learner& learner) override { run(batch_end, learner); }
  void on_validate_begin(train::Learner& learner) override { run(validate_begin, learner); }
  void on_epoch_end(train::Learner& learner) override { run(epoch_end, learner); }
  train::StepWork step_work() const override { return train::StepWork::varies; }

 private:
  static void run(const Function& f, train::Learner& learner) {
    if (f) f(learner);
  }
};

// One function at one hook: at(&At::batch_end, [&](Learner& learner) { ... }).
inline std::shared_ptr<At> at(At::Function At::*hook, At::Function f) {
  const auto callback = std::make_shared<At>();
  (*callback).*hook = std::move(f);
  return callback;
}

inline std::vector<float> values_of(const std::vector<NamedTensor>& tensors) {
  std::vector<float> all;
  for (const NamedTensor& named : tensors)
    for (const float value : named.tensor.detach().to_vector<float>()) all.push_back(value);
  return all;
}
// Parameters and buffers.
inline std::vector<float> weights(nn::Module& model) { return values_of(nn::named_weights(model)); }

// The weights of a small network after two epochs, with mixup where there are options for it.
inline std::vector<float> trained_weights(const train::MixUpOptions* mixup = nullptr) {
  manual_seed(5);
  auto model = nn::simple_cnn({3, 16, 16, 2});
  train::Learner learn(digits(70, {.batch_size = 16, .shuffle = true, .seed = 5}), model, quiet());
  if (mixup) learn.mixup(*mixup);
  learn.fit(2);
  return weights(model);
}

}  // namespace mixgrad::test
