// What the benchmarks measure: networks, the data and batch size they are trained with, and how. vs_torch.py has the
// same networks in PyTorch, by the same names.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::bench {

struct Workload {
  std::string name;
  std::int64_t size = 28, channels = 1;  // of the images: size x size, drawn digits at 28, noise otherwise
  std::int64_t classes = 10, batch_size = 128;
  std::function<nn::Sequential(double dropout)> model;
  bool mixup = false;
  bool inference = false;  // forward alone, in evaluation mode
};

const std::vector<Workload>& workloads();
// Throws, naming those there are, when there is none of that name.
const Workload& find_workload(const std::string& name);

constexpr double dropout_probability = 0.25;

// The model with the initial weights that every run begins with.
nn::Sequential make_model(const Workload& workload, double dropout);
// As many images as there are 3s and 7s in MNIST; 2,560 of the larger ones. Label: the digit, or else the number,
// modulo `classes`.
data::LabelledImages make_images(const Workload& workload);
// The images shuffled, short batches dropped; the validation data are a single image.
data::DataLoaders make_data(const Workload& workload, const data::LabelledImages& images);

}  // namespace mixgrad::bench
