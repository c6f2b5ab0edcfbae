#include "tests/bench/workloads.h"

#include <algorithm>

namespace mixgrad::bench {
namespace {

constexpr std::uint64_t seed = 1;

nn::Sequential lenet_style(double dropout) {
  return nn::Sequential(nn::Conv2d(1, 32), nn::ReLU(), nn::Conv2d(32, 64), nn::ReLU(), nn::MaxPool2d(2),
                        nn::Dropout(dropout), nn::Flatten(), nn::Linear(9216, 128), nn::ReLU(), nn::Linear(128, 10));
}

nn::Sequential mlp() {
  return nn::Sequential(nn::Flatten(), nn::Linear(784, 512), nn::ReLU(), nn::Linear(512, 512), nn::ReLU(),
                        nn::Linear(512, 10));
}

nn::Sequential airbench() {
  const Tensor images = nn::fan_in_uniform({64, 32, 32, 3}, 1);
  return nn::airbench(nn::whitening_filters(images), {.activation = functions::Silu{}});
}

// Noise around a brightness that tells the class.
data::LabelledImages noise(const Workload& workload, std::int64_t count) {
  const std::int64_t numbers = workload.size * workload.size * workload.channels;
  std::vector<std::uint8_t> bytes;
  std::vector<std::int32_t> labels;
  Random random(seed);
  for (std::int64_t n = 0; n < count; ++n) {
    labels.push_back(static_cast<std::int32_t>(n % workload.classes));
    for (std::int64_t i = 0; i < numbers; ++i)
      bytes.push_back(static_cast<std::uint8_t>(random.below(128) + 12 * static_cast<std::uint32_t>(labels.back())));
  }
  return {Tensor::from(bytes, {count, workload.size, workload.size, workload.channels}), Tensor::from(labels, {count})};
}

}  // namespace

const std::vector<Workload>& workloads() {
  const auto simple_cnn = [](double) { return nn::simple_cnn({3, 16, 16, 2}); };
  static const std::vector<Workload> all{
      {.name = "simple_cnn", .channels = 3, .classes = 2, .batch_size = 64, .model = simple_cnn},
      {.name = "mixup", .channels = 3, .classes = 2, .batch_size = 64, .model = simple_cnn, .mixup = true},
      {.name = "batch_norm",
       .model =
           [](double) {
             return nn::simple_cnn({1, 16, 32, 32, 10}, {.batch_norm = true});
           }},
      {.name = "lenet", .model = lenet_style},
      {.name = "mlp", .model = [](double) { return mlp(); }},
      {.name = "resnet",
       .size = 32,
       .channels = 3,
       .batch_size = 64,
       .model =
           [](double) {
             return nn::resnet(3, 10, {.widths = {64, 128, 256}});
           }},
      {.name = "airbench", .size = 32, .channels = 3, .batch_size = 256, .model = [](double) { return airbench(); }},
      {.name = "inference_1", .channels = 3, .classes = 2, .batch_size = 1, .model = simple_cnn, .inference = true},
      {.name = "inference_256", .channels = 3, .classes = 2, .batch_size = 256, .model = simple_cnn, .inference = true},
  };
  return all;
}

const Workload& find_workload(const std::string& name) {
  const auto found =
      std::find_if(workloads().begin(), workloads().end(), [&](const auto& w) { return w.name == name; });
  if (found != workloads().end()) return *found;
  std::string names;
  for (const Workload& workload : workloads()) names += " " + workload.name;
  fail("no workload ", name, "; there are", names);
}

nn::Sequential make_model(const Workload& workload, double dropout) {
  manual_seed(seed);
  return workload.model(dropout);
}

data::LabelledImages make_images(const Workload& workload) {
  if (workload.size != 28) return noise(workload, 2560);
  data::LabelledImages digits = data::synthetic_digits(12396, seed, data::Split::train);
  std::vector<std::int32_t> labels = digits.labels.to_vector<std::int32_t>();
  for (std::int32_t& label : labels) label %= static_cast<std::int32_t>(workload.classes);
  return {digits.images, Tensor::from(labels, digits.labels.shape())};
}

data::DataLoaders make_data(const Workload& workload, const data::LabelledImages& images) {
  std::vector<std::string> classes;
  for (std::int64_t c = 0; c < workload.classes; ++c) classes.push_back(std::to_string(c));
  const auto dataset = [&](std::int64_t count) {
    return std::make_shared<data::ImageDataset>(
        data::LabelledImages{slice(images.images, 0, count), slice(images.labels, 0, count), workload.channels},
        classes);
  };
  return {data::DataLoader(dataset(images.images.size(0)),
                           {.batch_size = workload.batch_size, .shuffle = true, .drop_last = true}),
          data::DataLoader(dataset(1), {.batch_size = 1})};
}

}  // namespace mixgrad::bench
