// Metrics: what training reports beside the loss.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "augment/mixup.h"
#include "core/tensor.h"

namespace mixgrad::train {

// A mean over the samples of a batch, a single f32 on any device; a validation weighs batches by their size.
struct Metric {
  std::string name;
  std::function<Tensor(const Tensor& output, const Tensor& target)> mean;
};

// The same of a training batch, whose target may be mixed; an epoch weighs batches by their size. One that waits for
// the device, as item() and to_vector() do, keeps the step from being captured (LearnerOptions::capture).
struct TrainMetric {
  std::string name;
  std::function<Tensor(const Tensor& output, const augment::Target& target)> mean;
};

// The share of samples whose largest output is the target's class: that of argmax (core/reduce.h), so nan is larger
// than all else. output [N, C]; target i32 [N], or [N, C] whose largest entry is the class. Throws on other shapes, or
// a class outside 0..C-1.
Tensor accuracy_of(const Tensor& output, const Tensor& target);

inline const Metric accuracy{"accuracy", accuracy_of};

// "top_5_accuracy": the share of samples whose class has one of the k largest outputs. Of equal outputs the one of the
// lower class counts as larger, and nan as larger than all else, as in accuracy, which is the case k = 1. Throws unless
// k >= 1; in use, when k > C and as accuracy_of does.
Metric top_k_accuracy(std::int64_t k);

// The lambda-weighted accuracy on the mixed images that a model is trained on: for a mixed target the mean of
// lambda [argmax output = y] + (1 - lambda) [argmax output = partner]; for a dense one, such as mixup without stack_y
// makes, the same as the mean of target[n, argmax output_n]; for class indices, accuracy_of. It is not an accuracy: the
// best possible is the mean of lambda (0.84 for alpha 0.4 with dedupe), or more where partners share a class. Throws as
// accuracy_of does.
//
//   train::Learner learn(data, model, {.metrics = {train::accuracy}, .train_metrics = {train::mixed_accuracy}});
Tensor mixed_accuracy_of(const Tensor& output, const augment::Target& target);

inline const TrainMetric mixed_accuracy{"mixed_accuracy", mixed_accuracy_of};

// The least cross-entropy that is possible on a batch: the mean entropy of its targets, in nats. Of a pair with one
// label it is 0, of one with two H(lambda) = -lambda log lambda - (1 - lambda) log(1 - lambda); of a dense target
// -sum_c t_c log t_c. Beside train_loss it says how much of that is the model's, where the loss is cross_entropy with
// mixup's own weights, without smoothing or class weights, and the batch is all mixed. Throws as mixed_accuracy_of
// does.
Tensor loss_floor_of(const Tensor& output, const augment::Target& target);

inline const TrainMetric loss_floor{"loss_floor", loss_floor_of};

// How good the probabilities p = softmax(output) are, output [N, C]; targets as in accuracy_of. The negative
// log-likelihood -log p_y in nats, the Brier score sum_c (p_c - [c = y])^2, and the confidence max_c p_c, each a mean
// over samples. How the confidence fits the accuracy is in train/calibration.h.
Tensor nll_of(const Tensor& output, const Tensor& target);
Tensor brier_of(const Tensor& output, const Tensor& target);
Tensor confidence_of(const Tensor& output, const Tensor& target);

inline const Metric nll{"nll", nll_of}, brier{"brier", brier_of}, confidence{"confidence", confidence_of};

// The class of each sample of a target as above, for output [N, C]. Throws an error that begins with `what`.
std::vector<std::int32_t> target_classes(const char* what, const Tensor& output, const Tensor& target);

// The name of a class, or its number where classes have none.
std::string class_name(const std::vector<std::string>& classes, std::int64_t index);

}  // namespace mixgrad::train
