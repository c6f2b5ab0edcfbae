// What tests of training on the GPU begin with: a small model and small images, and all that a training leaves behind.
#pragma once

#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <vector>

#include "on_cuda.h"
#include "training.h"

namespace mixgrad::test {

// Of digits of 14 x 14 pixels: the executor needs a quarter of the time for them, and kernels still run in several
// blocks.
inline nn::Sequential small_model(double dropout = 0.25) {
  return nn::Sequential{nn::Conv2d(3, 4, {.stride = 2, .padding = 1, .bias = false}),
                        nn::BatchNorm(4),
                        nn::ReLU(),
                        nn::MaxPool2d(2),
                        nn::Flatten(),
                        nn::Dropout(dropout),
                        nn::Linear(3 * 3 * 4, 2)};
}

inline train::LearnerOptions on_cuda(bool capture = true) {
  train::LearnerOptions options = quiet();
  options.device = cuda;
  if (!capture) options.runner = train::plain_runner;
  options.train_metrics = {train::mixed_accuracy};
  return options;
}

// All that a training leaves behind.
inline std::vector<double> result_of(train::Learner& learn) {
  std::vector<double> result;
  for (const train::EpochRecord& epoch : learn.recorder->epochs()) {
    result.insert(result.end(), {epoch.train_loss, epoch.valid_loss, epoch.metrics[0]});
    for (const double metric : epoch.train_metrics) result.push_back(metric);
  }
  for (const float value : weights(*learn.model)) result.push_back(value);
  for (const float value : values_of(nn::named_buffers(*learn.model))) result.push_back(value);
  for (const float value : values_of(learn.optimizer->state())) result.push_back(value);
  return result;
}

// Epochs of four full batches and, unless it is dropped, a short one.
inline data::LoaderOptions four_batches(bool drop_last = false) {
  return {.batch_size = 8, .shuffle = true, .drop_last = drop_last};
}
inline constexpr std::int64_t samples = 37;

struct OnDevice {
  explicit OnDevice(const train::LearnerOptions& options, bool drop_last = false, double dropout = 0.25)
      : model((manual_seed(7), small_model(dropout))),
        learn(digits(samples, four_batches(drop_last), true), model, options) {}
  nn::Sequential model;
  train::Learner learn;
};

inline bool same(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

// The result of a fit that prepare() has set up, captured or not.
template <class Prepare>
std::vector<double> trained(bool capture, Prepare prepare) {
  OnDevice training(on_cuda(capture));
  prepare(training.learn);
  return result_of(training.learn);
}

// obstacle: the one to capturing all steps, if any.
template <class Prepare>
void check_captured_is_plain(Prepare prepare, const std::string& obstacle = "") {
  const auto train_with = [&](bool capture) {
    return trained(capture, [&](train::Learner& learn) {
      prepare(learn);
      CHECK(learn.recorder->obstacle() == (capture ? obstacle : ""));
    });
  };
  const auto captured = in_every_order([&] { return train_with(true); });
  CHECK(same(captured, train_with(false)));
}

}  // namespace mixgrad::test
