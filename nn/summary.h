// print(model): what a model is made of and what it costs.
#pragma once

#include <iosfwd>

#include "nn/module.h"

namespace mixgrad::nn {

// A table of the model's layers, innermost modules only: output shape, parameters and multiply-adds, for one input of
// the given shape (batch axis included), which is run through the model once in evaluation mode.
void print(Module& model, const Shape& input);
void print(std::ostream& out, Module& model, const Shape& input);

}  // namespace mixgrad::nn
