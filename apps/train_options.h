// The command line of train_mnist.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "apps/run_options.h"

namespace mixgrad::apps {

struct TrainOptions : RunOptions {
  std::string model = "simple", load, predict;
  std::vector<int> digits = {3, 7};  // ascending
  bool synthetic = false, mixup = false, cutmix = false, no_mixup = false, compare = false;
  int epochs = 8;
  std::int64_t batch_size = 64;
  double lr = 3e-3, alpha = 0.4;
  bool stack_x = false, stack_y = true, per_batch_lambda = false, no_dedupe = false, second_loader = false;
  bool batch_mean_lambda = false;
  bool one_cycle = false, lr_find = false, train_accuracy = false;

  bool mixup_run() const { return !no_mixup; }
  // The runs to train: whether each is with mixup, or CutMix.
  std::vector<bool> runs() const {
    return mixup || cutmix ? std::vector{true} : no_mixup ? std::vector{false} : std::vector{false, true};
  }
  // For the run with mixup, or CutMix. Throws on bad options.
  std::shared_ptr<train::Callback> mix() const;
  std::shared_ptr<const augment::PairMix> pair_mix() const;
  augment::MixOptions draws() const;
  // The name of a run in file names and metrics.csv.
  const char* run_name(bool mixed) const { return !mixed ? "plain" : cutmix ? "cutmix" : "mixup"; }
  std::string digit_list() const;                // "3,7"
  std::vector<std::string> digit_names() const;  // "three", "seven"
};

// Reads the command line. Returns false after --help, which it prints. Model and digits default to those of the weights
// of --load, if any. Throws a UsageError that names the mistake, before any data is loaded.
bool parse(int argc, char** argv, TrainOptions& options);

}  // namespace mixgrad::apps
