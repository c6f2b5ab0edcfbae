// Validation: how good a model is on data that it is not trained on.
#pragma once

#include <vector>

#include "data/data_loader.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "train/metrics.h"

namespace mixgrad::train {

// The mean loss and metrics over some data.
struct Validation {
  double loss = 0;
  std::vector<double> metrics;
};

// In evaluation mode, without gradients; batches are weighed by their size.
Validation validate(nn::Module& model, const data::DataLoader& loader, const nn::Loss& loss,
                    const std::vector<Metric>& metrics, Device device = cpu);

}  // namespace mixgrad::train
