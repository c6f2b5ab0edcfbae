#include "nn/weights.h"

#include <algorithm>

#include "core/check.h"
#include "core/layout.h"
#include "core/safetensors.h"

namespace mixgrad::nn {
namespace {

Tensor to_oihw(const Tensor& x) { return x.rank() == 4 ? transpose(transpose(x, 1, 3), 2, 3) : x; }
Tensor to_ohwi(const Tensor& x) { return x.rank() == 4 ? transpose(transpose(x, 2, 3), 1, 3) : x; }

// From tensors in this layout.
void assign(Module& model, const std::vector<NamedTensor>& tensors, const std::string& source, WeightLayout layout) {
  const bool ours = layout == WeightLayout::ohwi;
  const std::vector<NamedTensor> mine = named_weights(model);
  const auto find = [](const std::vector<NamedTensor>& list, const std::string& name) {
    const auto found = std::find_if(list.begin(), list.end(), [&](const auto& named) { return named.name == name; });
    return found == list.end() ? nullptr : &found->tensor;
  };
  for (const auto& [name, tensor] : mine) {
    const Tensor* other = find(tensors, name);
    check(other != nullptr, source, ": lacks the tensor ", name, " of the model");
    const Shape shape = ours ? tensor.shape() : to_oihw(tensor).shape();
    check(other->shape() == shape && other->dtype() == tensor.dtype(), source, ": ", name, " is ",
          name_of(other->dtype()), other->shape(), ", the model's is ", name_of(tensor.dtype()), shape);
  }
  for (const auto& [name, tensor] : tensors)
    check(find(mine, name) != nullptr, source, ": has the tensor ", printable(name), ", which the model lacks");
  for (const auto& [name, tensor] : mine) tensor.copy_(ours ? *find(tensors, name) : to_ohwi(*find(tensors, name)));
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
  std::vector<NamedTensor> all = named_weights(model);
  if (layout == WeightLayout::oihw)
    for (auto& [name, tensor] : all) tensor = to_oihw(tensor);
  const bool ours = layout == WeightLayout::ohwi;
  metadata["format"] = ours ? "mixgrad" : "pt";
  metadata["layout"] = ours ? "ohwi" : "oihw";
  write_safetensors(path, all, metadata);
}

void load_weights(Module& model, const std::string& path) {
  const SafeTensors file = read_safetensors(path);
  const auto layout = file.metadata.find("layout");
  const bool ours = layout != file.metadata.end() && layout->second == "ohwi";
  assign(model, file.tensors, path, ours ? WeightLayout::ohwi : WeightLayout::oihw);
}

void assign_weights(Module& model, const std::vector<NamedTensor>& tensors, const std::string& source) {
  assign(model, tensors, source, WeightLayout::ohwi);
}

}  // namespace mixgrad::nn
