#include "nn/weights.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/layout.h"
#include "core/safetensors.h"
#include "core/view.h"
#include "nn/conv2d.h"
#include "nn/linear.h"
#include "nn/pool.h"
#include "nn/sequential.h"

namespace mixgrad::nn {
namespace {

template <class Layer>
bool is(Module& module) {
  return dynamic_cast<Layer*>(&module) != nullptr;
}

// What differs between a model's weights here and in PyTorch: convolutions are [out, in, kh, kw] there, and images
// [C, H, W], which a Flatten puts in another order, so that the columns of the Linear behind it differ too.
class PyTorchLayout : Visitor {
 public:
  // Follows an image through the layers, which are taken to run in the order in which visit() names them. Throws an
  // error that begins with `source` where that leaves open which image a Linear reads: after a Flatten that no
  // convolution precedes, after anything else that flattens, or where a layer in between has weights.
  PyTorchLayout(Module& model, std::string source) : source_(std::move(source)) { follow(model); }

  Tensor to_pytorch(const std::string& name, const Tensor& tensor) const {
    if (tensor.rank() == 4) return transpose(transpose(tensor, 1, 3), 2, 3);
    const auto found = channels_.find(name);
    if (found == channels_.end()) return tensor;
    return exchange(tensor, tensor.size(1) / found->second, found->second);
  }
  Tensor from_pytorch(const std::string& name, const Tensor& tensor) const {
    if (tensor.rank() == 4) return transpose(transpose(tensor, 2, 3), 1, 3);
    const auto found = channels_.find(name);
    if (found == channels_.end()) return tensor;
    return exchange(tensor, found->second, tensor.size(1) / found->second);
  }

 private:
  enum Kind { unknown, image, flattened, features };
  struct Activations {
    Kind kind = unknown;
    std::int64_t channels = 0;  // of the image; 0: not known
  };

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
        check(named_weights(module).empty(), where(module),
              " reads an image that was flattened, which PyTorch does in another order; put it before the Flatten");
      const Temporarily fork(fork_, is<Residual>(module) ? std::optional(now_) : std::nullopt);
      module.visit(*this);
    }
  }
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
    channels_[path_ + "weight"] = now_.channels;
  }
  std::string where(const Module& module) const { return source_ + ": " + path_ + module.name() + ":"; }

  // The columns [out, a*b] as [out, b*a].
  static Tensor exchange(const Tensor& weight, std::int64_t a, std::int64_t b) {
    return reshape(transpose(reshape(weight, {weight.size(0), a, b}), 1, 2), weight.shape());
  }

  std::string source_, path_;
  Activations now_;
  std::optional<Activations> fork_;               // what each child reads, where they stand side by side
  std::map<std::string, std::int64_t> channels_;  // of the image that a Linear reads flattened, by its weight's name
};

const Tensor* find(const std::vector<NamedTensor>& list, const std::string& name) {
  const auto found = std::ranges::find(list, name, &NamedTensor::name);
  return found == list.end() ? nullptr : &found->tensor;
}

// "1.num_batches_tracked" for "1.running_mean": what PyTorch keeps of a batch norm besides, and averages do not need.
std::optional<std::string> batch_count_beside(const std::string& name) {
  if (name != "running_mean" && !name.ends_with(".running_mean")) return {};
  return name.substr(0, name.size() - std::string("running_mean").size()) + "num_batches_tracked";
}

}  // namespace

std::vector<NamedTensor> named_weights(Module& model) {
  std::vector<NamedTensor> all = named_parameters(model);
  for (NamedTensor& buffer : named_buffers(model)) all.push_back(std::move(buffer));
  for (NamedTensor& named : all) named.tensor = named.tensor.detach();
  return all;
}

void save_weights(Module& model, const std::string& path, WeightLayout layout,
                  std::map<std::string, std::string> metadata) {
  const bool ours = layout == WeightLayout::ohwi;
  std::vector<NamedTensor> all = named_weights(model);
  if (!ours) {
    const PyTorchLayout pytorch(model, path);
    std::vector<NamedTensor> counts;
    for (auto& [name, tensor] : all) {
      tensor = pytorch.to_pytorch(name, tensor);
      if (const auto count = batch_count_beside(name))
        counts.push_back({*count, Tensor::zeros({}, {.dtype = DType::i32})});
    }
    std::ranges::move(counts, std::back_inserter(all));
  }
  metadata["format"] = ours ? "mixgrad" : "pt";
  metadata["layout"] = ours ? "ohwi" : "oihw";
  write_safetensors(path, all, metadata);
}

void load_weights(Module& model, const std::string& path) {
  SafeTensors file = read_safetensors(path);
  const std::string layout = file.metadata["layout"];
  check(layout == "ohwi" || layout == "oihw" || (layout.empty() && file.metadata["format"] != "mixgrad"), path,
        ": its layout is ", layout.empty() ? "missing" : printable(layout), ", not ohwi or oihw");
  std::optional<PyTorchLayout> pytorch;
  if (layout != "ohwi") pytorch.emplace(model, path);
  const std::vector<NamedTensor> mine = named_weights(model);
  for (const auto& [name, tensor] : mine) {
    const Tensor* other = find(file.tensors, name);
    check(other != nullptr, path, ": lacks the tensor ", name, " of the model");
    const Shape shape = pytorch ? pytorch->to_pytorch(name, tensor).shape() : tensor.shape();
    check(other->shape() == shape && other->dtype() == tensor.dtype(), path, ": ", name, " is ",
          name_of(other->dtype()), other->shape(), ", the model's is ", name_of(tensor.dtype()), shape);
  }
  for (const NamedTensor& other : file.tensors) {
    const auto names_it = [&](const NamedTensor& own) {
      return own.name == other.name || (pytorch && batch_count_beside(own.name) == other.name);
    };
    check(std::ranges::any_of(mine, names_it), path, ": has the tensor ", printable(other.name),
          ", which the model lacks");
  }
  for (const auto& [name, tensor] : mine) {
    const Tensor& other = *find(file.tensors, name);
    tensor.copy_(pytorch ? pytorch->from_pytorch(name, other) : other);
  }
}

}  // namespace mixgrad::nn
