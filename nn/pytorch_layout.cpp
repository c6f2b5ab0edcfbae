#include "nn/pytorch_layout.h"

#include <optional>

#include "core/check.h"
#include "core/layout.h"
#include "core/view.h"
#include "nn/conv2d.h"
#include "nn/function.h"
#include "nn/linear.h"
#include "nn/pool.h"
#include "nn/residual.h"

namespace mixgrad::nn {
namespace {

template <class Layer>
bool is(Module& module) {
  return dynamic_cast<Layer*>(&module) != nullptr;
}

class FollowImage : public Visitor {
 public:
  explicit FollowImage(std::string source) : source_(std::move(source)) {}
  std::map<std::string, std::int64_t> channels;  // as PyTorchLayout::channels_

  void child(const std::string& name, Module& module) override {
    const Temporarily path(path_, path_ + name + ".");
    if (fork_) now_ = *fork_;
    const Temporarily<std::optional<Activations>> fork(fork_, {});
    follow(module);
  }

  void follow(Module& module) {
    if (const auto* convolution = dynamic_cast<Conv2d*>(&module)) {
      now_ = {image, convolution->weight.size(0)};
    } else if (is<GlobalAvgPool>(module)) {
      now_ = {features};
    } else if (is<Flatten>(module)) {
      if (now_.kind != features) now_.kind = flattened;
    } else if (const auto* linear = dynamic_cast<Linear*>(&module)) {
      read(*linear);
      now_ = {features};
    } else {
      if (!is<Sequential>(module) && now_.kind == flattened)
        check(named_parameters(module).empty() && named_buffers(module).empty(), where(module),
              " reads an image that was flattened, which PyTorch does in another order; put it before the Flatten");
      const Temporarily fork(fork_, is<Residual>(module) ? std::optional(now_) : std::nullopt);
      module.visit(*this);
    }
  }

 private:
  enum Kind { unknown, image, flattened, features };
  struct Activations {
    Kind kind = unknown;
    std::int64_t channels = 0;  // of the image; 0: not known
  };

  std::string where(const Module& module) const { return source_ + ": " + path_ + module.name() + ":"; }

  void read(const Linear& linear) {
    if (now_.kind == unknown || now_.kind == features) return;
    const std::int64_t columns = linear.weight.size(1);
    if (columns == now_.channels) return;  // one pixel
    check(now_.kind == flattened, where(linear),
          " reads an image, and how it was flattened is not known; flatten it by an nn::Flatten that visit() names "
          "before this layer");
    check(now_.channels > 0, where(linear),
          " reads an image that PyTorch flattens in another order, and no convolution says how many channels it has; "
          "flatten it before the model");
    check(columns % now_.channels == 0, where(linear), " reads an image of ", now_.channels,
          " channels, of which its columns are no multiple");
    channels[path_ + "weight"] = now_.channels;
  }

  std::string source_, path_;
  Activations now_;
  std::optional<Activations> fork_;  // what each child reads, where they stand side by side
};

// The columns [out, a*b] as [out, b*a].
Tensor exchange(const Tensor& weight, std::int64_t a, std::int64_t b) {
  return reshape(transpose(reshape(weight, {weight.size(0), a, b}), 1, 2), weight.shape());
}

}  // namespace

PyTorchLayout::PyTorchLayout(Module& model, const std::string& source) {
  FollowImage visitor(source);
  visitor.follow(model);
  channels_ = std::move(visitor.channels);
}

Tensor PyTorchLayout::to_pytorch(const std::string& name, const Tensor& tensor) const {
  if (tensor.rank() == 4) return transpose(transpose(tensor, 1, 3), 2, 3);
  const auto found = channels_.find(name);
  if (found == channels_.end()) return tensor;
  return exchange(tensor, tensor.size(1) / found->second, found->second);
}

Tensor PyTorchLayout::from_pytorch(const std::string& name, const Tensor& tensor) const {
  if (tensor.rank() == 4) return transpose(transpose(tensor, 2, 3), 1, 3);
  const auto found = channels_.find(name);
  if (found == channels_.end()) return tensor;
  return exchange(tensor, found->second, tensor.size(1) / found->second);
}

}  // namespace mixgrad::nn
