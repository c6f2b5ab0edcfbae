// Mixed accuracy: the lambda-weighted accuracy on the mixed images that a model is trained on. It is no accuracy: the
// best possible is the mean of lambda (0.84 for alpha 0.4 with dedupe), or more where partners share a class.
//
//   train::Learner learn(data, model, {.metrics = {train::accuracy}, .train_metrics = {train::mixed_accuracy}});
#pragma once

#include "train/metrics.h"

namespace mixgrad::train {

// For a mixed target the mean of lambda [argmax output = y] + (1 - lambda) [argmax output = partner]; for any other,
// index or dense, accuracy_of. Throws as accuracy_of does.
double mixed_accuracy_of(const Tensor& output, const augment::Target& target);

inline const TrainMetric mixed_accuracy{"mixed_accuracy", mixed_accuracy_of};

}  // namespace mixgrad::train
