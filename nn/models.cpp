#include "nn/models.h"

#include "core/check.h"
#include "nn/activation.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/flatten.h"
#include "nn/pool.h"

namespace mixgrad::nn {

Sequential simple_cnn(const std::vector<std::int64_t>& channels, const SimpleCnnOptions& options) {
  check(channels.size() >= 2, "simple_cnn: needs at least two channel counts, got ", channels.size());
  const std::size_t layers = channels.size() - 1;
  const auto per_layer = [&](const char* what, std::vector<std::int64_t> values, std::int64_t otherwise) {
    if (values.empty()) values.assign(layers, otherwise);
    check(values.size() == layers, "simple_cnn: ", values.size(), " ", what, " for ", layers, " convolutions");
    return values;
  };
  const auto kernel_sizes = per_layer("kernel sizes", options.kernel_sizes, 3);
  const auto strides = per_layer("strides", options.strides, 2);

  Sequential model;
  for (std::size_t i = 0; i < layers; ++i) {
    const bool batch_norm = options.batch_norm && i + 1 < layers;
    model.add(Conv2d(
        channels[i], channels[i + 1],
        {.kernel_size = kernel_sizes[i], .stride = strides[i], .padding = kernel_sizes[i] / 2, .bias = !batch_norm}));
    model.add(ReLU());
    if (batch_norm) model.add(BatchNorm(channels[i + 1]));
  }
  model.add(GlobalAvgPool());
  model.add(Flatten());
  return model;
}

}  // namespace mixgrad::nn
