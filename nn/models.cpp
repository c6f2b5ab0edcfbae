#include "nn/models.h"

#include "core/check.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/function.h"
#include "nn/linear.h"
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

Sequential lenet(std::int64_t in_channels, std::int64_t classes) {
  return Sequential(Conv2d(in_channels, 6, {.kernel_size = 5, .padding = 2}), ReLU(), MaxPool2d(2),
                    Conv2d(6, 16, {.kernel_size = 5}), ReLU(), MaxPool2d(2), Flatten(), Linear(400, 120), ReLU(),
                    Linear(120, 84), ReLU(), Linear(84, classes));
}

Sequential resnet(std::int64_t in_channels, std::int64_t classes, const ResnetOptions& options) {
  check(!options.widths.empty(), "resnet: needs at least one width");
  check(options.blocks >= 0 && options.blocks <= 1000, "resnet: ", options.blocks, " blocks are not in 0..1000");
  const auto convolution = [](std::int64_t in, std::int64_t out, std::int64_t stride) {
    return Conv2d(in, out, {.stride = stride, .padding = 1, .bias = false});
  };
  Sequential model;
  std::int64_t channels = in_channels;
  for (const std::int64_t width : options.widths) {
    model.add(convolution(channels, width, 2)).add(BatchNorm(width)).add(ReLU());
    for (std::int64_t block = 0; block < options.blocks; ++block) {
      BatchNorm last(width);
      last.weight.detach().fill_(0);
      model.add(Residual(
          Sequential(convolution(width, width, 1), BatchNorm(width), ReLU(), convolution(width, width, 1), last)));
      model.add(ReLU());
    }
    channels = width;
  }
  model.add(GlobalAvgPool()).add(Flatten()).add(Linear(channels, classes));
  return model;
}

}  // namespace mixgrad::nn
