// A model's weights as a safetensors file: parameters and buffers, named as PyTorch's modules name them ("0.weight",
// "1.running_mean").
#pragma once

#include <map>
#include <string>

#include "nn/module.h"

namespace mixgrad::nn {

// How convolutions' weights are stored: [out, kh, kw, in] as they are here, or [out, in, kh, kw] for PyTorch. (A Linear
// behind a Flatten of several pixels is not rearranged: PyTorch flattens channels first.)
enum class WeightLayout { ohwi, oihw };

// Replaces the file as a whole: a write that fails, such as on a full disk, leaves what was there. Whatever else the
// file's metadata shall say, such as the classes that the model tells apart, is in `metadata`.
void save_weights(Module& model, const std::string& path, WeightLayout layout = WeightLayout::ohwi,
                  std::map<std::string, std::string> metadata = {});

// Loads a file of either layout; one from elsewhere is taken for oihw. Throws, naming the first difference and having
// changed nothing, unless the file has exactly the model's tensors, by name, shape and dtype.
void load_weights(Module& model, const std::string& path);

// The same from tensors in memory, in this library's layout; `source` names them in errors.
void assign_weights(Module& model, const std::vector<NamedTensor>& tensors, const std::string& source);

// Parameters, then buffers.
std::vector<NamedTensor> named_weights(Module& model);

}  // namespace mixgrad::nn
