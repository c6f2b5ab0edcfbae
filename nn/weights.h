// A model's weights as a safetensors file: parameters and buffers, named as PyTorch's modules name them ("0.weight",
// "1.running_mean").
#pragma once

#include <map>
#include <string>

#include "nn/module.h"

namespace mixgrad::nn {

// How convolutions' weights are stored: [out, kh, kw, in] as they are here, or [out, in, kh, kw] for PyTorch, whose
// load_state_dict takes the file as it is: with a num_batches_tracked for each batch norm, and with the columns of a
// Linear behind a Flatten in the order in which PyTorch flattens an image, channels first. For that the layers must run
// in the order in which visit() names them.
enum class WeightLayout { ohwi, oihw };

// Replaces the file as a whole: a write that fails, such as on a full disk, leaves what was there. Whatever else the
// file's metadata shall say, such as the classes that the model tells apart, is in `metadata`. For PyTorch, throws
// where the order of a Linear's columns can't be told: an image that is flattened without nn::Flatten, or before any
// convolution, or that goes through other weights between Flatten and Linear.
void save_weights(Module& model, const std::string& path, WeightLayout layout = WeightLayout::ohwi,
                  std::map<std::string, std::string> metadata = {});

// Loads a file of either layout; one that names none, from elsewhere, is taken for oihw, and its num_batches_tracked,
// which batch norm here does without, are passed over. Throws, naming the first difference and having changed nothing,
// unless the file has exactly the model's other tensors, by name, shape and dtype (core/safetensors.h says which dtypes
// are converted); and for oihw where save_weights would.
void load_weights(Module& model, const std::string& path);

// Parameters, then buffers.
std::vector<NamedTensor> named_weights(Module& model);

}  // namespace mixgrad::nn
