// A small network with everything that has state, and its training.
#pragma once

#include "mixgrad.h"
#include "tests/training.h"

namespace mixgrad::test {

// Batch norm has buffers, dropout a random stream of its own.
inline nn::Sequential small_network() {
  return nn::Sequential(nn::Conv2d(3, 4, {.stride = 4}), nn::BatchNorm(4), nn::ReLU(), nn::Dropout(0.3),
                        nn::Conv2d(4, 2), nn::GlobalAvgPool(), nn::Flatten());
}

// A learner made anew, as a program that is started again would.
struct Training {
  explicit Training(std::uint64_t seed = 5, std::int64_t batch_size = 16, nn::Sequential (*make)() = small_network,
                    int workers = 0)
      : model((manual_seed(seed), make())),
        learn(digits(100,
                     {.batch_size = batch_size, .shuffle = true, .drop_last = true, .seed = seed, .workers = workers}),
              model, {.metrics = {train::accuracy}, .seed = seed, .verbose = false}) {
    learn.mixup({.source = train::MixSource::second_loader});
  }
  nn::Sequential model;
  train::Learner learn;
};

}  // namespace mixgrad::test
