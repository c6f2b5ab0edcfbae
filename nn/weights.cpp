#include "nn/weights.h"

#include <algorithm>

#include "core/check.h"
#include "core/layout.h"
#include "core/safetensors.h"

namespace mixgrad::nn {
namespace {

Tensor to_oihw(const Tensor& x) { return transpose(transpose(x, 1, 3), 2, 3); }
Tensor to_ohwi(const Tensor& x) { return transpose(transpose(x, 2, 3), 1, 3); }

}  // namespace

std::vector<NamedTensor> named_weights(Module& model) {
  std::vector<NamedTensor> all = named_parameters(model);
  for (NamedTensor& buffer : named_buffers(model)) all.push_back(std::move(buffer));
  for (NamedTensor& named : all) named.tensor = named.tensor.detach();
  return all;
}

void save_weights(Module& model, const std::string& path, WeightLayout layout,
                  std::map<std::string, std::string> metadata) {
  std::vector<NamedTensor> all = named_weights(model);
  if (layout == WeightLayout::oihw)
    for (auto& [name, tensor] : all)
      if (tensor.rank() == 4) tensor = to_oihw(tensor);
  metadata["format"] = "pt";
  metadata["layout"] = layout == WeightLayout::ohwi ? "ohwi" : "oihw";
  write_safetensors(path, all, metadata);
}

void load_weights(Module& model, const std::string& path) {
  SafeTensors file = read_safetensors(path);
  const auto layout = file.metadata.find("layout");
  if (layout == file.metadata.end() || layout->second != "ohwi")
    for (auto& [name, tensor] : file.tensors)
      if (tensor.rank() == 4) tensor = to_ohwi(tensor);
  assign_weights(model, file.tensors, path);
}

void assign_weights(Module& model, const std::vector<NamedTensor>& tensors, const std::string& source) {
  const std::vector<NamedTensor> mine = named_weights(model);
  const auto find = [](const std::vector<NamedTensor>& list, const std::string& name) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const auto& named) { return named.name == name; });
    return found == list.end() ? nullptr : &found->tensor;
  };
  for (const auto& [name, tensor] : mine) {
    const Tensor* other = find(tensors, name);
    check(other != nullptr, source, ": lacks the tensor ", name, " of the model");
    check(other->shape() == tensor.shape() && other->dtype() == tensor.dtype(), source, ": ", name, " is ",
          name_of(other->dtype()), other->shape(), ", the model's is ", name_of(tensor.dtype()), tensor.shape());
  }
  for (const auto& [name, tensor] : tensors)
    check(find(mine, name) != nullptr, source, ": has the tensor ", printable(name), ", which the model lacks");
  for (const auto& [name, tensor] : mine) tensor.copy_(*find(tensors, name));
}

}  // namespace mixgrad::nn
