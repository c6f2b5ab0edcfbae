#include "nn/weights.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "core/check.h"
#include "core/safetensors.h"
#include "nn/pytorch_layout.h"

namespace mixgrad::nn {
namespace {

const Tensor* find(const std::vector<NamedTensor>& list, const std::string& name) {
  const auto found = std::find_if(list.begin(), list.end(), [&](const auto& named) { return named.name == name; });
  return found == list.end() ? nullptr : &found->tensor;
}

// "1." of "1.running_mean": a batch norm, of which PyTorch keeps one tensor more.
std::optional<std::string> batch_norm_of(const std::string& name, const std::string& tensor) {
  if (!name.ends_with(tensor)) return {};
  const std::string layer = name.substr(0, name.size() - tensor.size());
  return layer.empty() || layer.ends_with('.') ? std::optional(layer) : std::nullopt;
}

// Whether it is PyTorch's count of a batch norm's batches, which averages do not need.
bool is_batch_count(const std::string& name, const std::vector<NamedTensor>& mine) {
  const auto layer = batch_norm_of(name, "num_batches_tracked");
  return layer && find(mine, *layer + "running_mean") != nullptr;
}

// From tensors in our layout, or PyTorch's.
void assign(Module& model, const std::vector<NamedTensor>& tensors, const std::string& source,
            const std::optional<PyTorchLayout>& pytorch) {
  const std::vector<NamedTensor> mine = named_weights(model);
  for (const auto& [name, tensor] : mine) {
    const Tensor* other = find(tensors, name);
    check(other != nullptr, source, ": lacks the tensor ", name, " of the model");
    const Shape shape = pytorch ? pytorch->to_pytorch(name, tensor).shape() : tensor.shape();
    check(other->shape() == shape && other->dtype() == tensor.dtype(), source, ": ", name, " is ",
          name_of(other->dtype()), other->shape(), ", the model's is ", name_of(tensor.dtype()), shape);
  }
  for (const auto& [name, tensor] : tensors)
    check(find(mine, name) || (pytorch && is_batch_count(name, mine)), source, ": has the tensor ", printable(name),
          ", which the model lacks");
  for (const auto& [name, tensor] : mine) {
    const Tensor& other = *find(tensors, name);
    tensor.copy_(pytorch ? pytorch->from_pytorch(name, other) : other);
  }
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
      if (const auto layer = batch_norm_of(name, "running_mean"))
        counts.push_back({*layer + "num_batches_tracked", Tensor::zeros({}, {.dtype = DType::i32})});
    }
    std::ranges::move(counts, std::back_inserter(all));
  }
  metadata["format"] = ours ? "mixgrad" : "pt";
  metadata["layout"] = ours ? "ohwi" : "oihw";
  write_safetensors(path, all, metadata);
}

void load_weights(Module& model, const std::string& path) {
  SafeTensors file = read_safetensors(path);
  std::optional<PyTorchLayout> pytorch;
  const std::string layout = file.metadata["layout"];
  check(layout == "ohwi" || layout == "oihw" || (layout.empty() && file.metadata["format"] != "mixgrad"), path,
        ": its layout is ", layout.empty() ? "missing" : printable(layout), ", not ohwi or oihw");
  if (layout != "ohwi") pytorch.emplace(model, path);
  assign(model, file.tensors, path, pytorch);
}

void assign_weights(Module& model, const std::vector<NamedTensor>& tensors, const std::string& source) {
  assign(model, tensors, source, {});
}

}  // namespace mixgrad::nn
