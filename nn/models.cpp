#include "nn/models.h"

#include "core/check.h"
#include "nn/batch_norm.h"
#include "nn/conv2d.h"
#include "nn/function.h"
#include "nn/init.h"
#include "nn/linear.h"
#include "nn/pool.h"
#include "nn/whitening.h"

namespace mixgrad::nn {
namespace {

Conv2d convolution(std::int64_t in, std::int64_t out, std::int64_t kernel_size, std::int64_t stride) {
  return Conv2d(in, out, {.kernel_size = kernel_size, .stride = stride, .padding = kernel_size / 2, .bias = false});
}

}  // namespace

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
  Sequential model;
  std::int64_t channels = in_channels;
  for (const std::int64_t width : options.widths) {
    model.add(convolution(channels, width, 3, 2)).add(BatchNorm(width)).add(ReLU());
    for (std::int64_t block = 0; block < options.blocks; ++block) {
      BatchNorm last(width);
      last.weight.detach().fill_(0);
      model.add(Residual(Sequential(convolution(width, width, 3, 1), BatchNorm(width), ReLU(),
                                    convolution(width, width, 3, 1), last)));
      model.add(ReLU());
    }
    channels = width;
  }
  model.add(GlobalAvgPool()).add(Flatten()).add(Linear(channels, classes));
  return model;
}

namespace {

// y = .2 body(a) + shortcut(a), a = relu(batch norm of x); the shortcut is x itself where nothing changes its shape.
class PreActivationBlock : public Module {
 public:
  PreActivationBlock(std::int64_t in, std::int64_t out, std::int64_t stride)
      : first_(BatchNorm(in), ReLU()),
        body_(convolution(in, out, 3, stride), BatchNorm(out), ReLU(), convolution(out, out, 3, 1)) {
    if (in != out) shortcut_.add(convolution(in, out, 1, stride));
  }
  Tensor forward(const Tensor& x) override {
    const Tensor a = first_(x);
    return body_(a) * 0.2 + (shortcut_.size() ? shortcut_(a) : x);
  }
  void visit(Visitor& visitor) override {
    visitor.child("first", first_);
    visitor.child("body", body_);
    if (shortcut_.size()) visitor.child("shortcut", shortcut_);
  }
  std::string name() const override { return "PreActivationBlock"; }

 private:
  Sequential first_, body_, shortcut_;
};

}  // namespace

Sequential wide_resnet(std::int64_t depth, std::int64_t k, std::int64_t classes) {
  check(depth >= 10 && depth <= 1000 && depth % 6 == 4, "wide_resnet: depth ", depth, " is not 10, 16, 22, ... 1000");
  check(k >= 1 && k <= 64, "wide_resnet: k = ", k, " is not in 1..64");
  Sequential model(convolution(3, 16, 3, 1));
  std::int64_t channels = 16;
  for (const std::int64_t width : {16 * k, 32 * k, 64 * k})
    for (std::int64_t block = 0; block < (depth - 4) / 6; ++block) {
      model.add(PreActivationBlock(channels, width, block == 0 && width > 16 * k ? 2 : 1));
      channels = width;
    }
  return model.add(BatchNorm(channels)).add(ReLU()).add(GlobalAvgPool()).add(Flatten()).add(Linear(channels, classes));
}

Normalise cifar10_normalise() { return Normalise({0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}); }

Sequential airbench(const Tensor& filters, const AirbenchOptions& options) {
  check(options.widths.size() == 3, "airbench: ", options.widths.size(), " widths, not three");
  const auto add_activation = [](Sequential& model, const functions::Activation& activation) {
    if (std::holds_alternative<functions::Relu>(activation)) model.add(ReLU());
    if (std::holds_alternative<functions::Silu>(activation)) model.add(SiLU());
    if (std::holds_alternative<functions::Gelu>(activation)) model.add(GELU());
  };
  Sequential model(cifar10_normalise(), Whitening(filters));
  add_activation(model, options.whitening_activation);
  std::int64_t channels = filters.size(0);
  for (const std::int64_t width : options.widths)
    for (const bool pooled : {true, false}) {
      Conv2d filter(channels, width, {.padding = 1, .bias = false});
      filter.weight = parameter(fan_in_uniform(filter.weight.shape(), 9 * channels));
      dirac_(filter.weight.detach());
      model.add(filter);
      if (pooled) model.add(MaxPool2d(2));
      model.add(BatchNorm(width, {.eps = 1e-12, .momentum = options.batch_norm_momentum, .scale = false}));
      add_activation(model, options.activation);
      channels = width;
    }
  Linear head(channels, options.classes, {.bias = false});
  head.weight = parameter(fan_in_uniform(head.weight.shape(), channels));
  const double scale = options.logits_scale;
  return model.add(MaxPool2d(3))
      .add(Flatten())
      .add(head)
      .add(Function(text_of("Scale(", scale, ")"), [scale](const Tensor& x) { return x * scale; }));
}

}  // namespace mixgrad::nn
