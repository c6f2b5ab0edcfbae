// print(model): what a model is made of and what it costs.
#pragma once

#include <iosfwd>

#include "nn/module.h"

namespace mixgrad::nn {

// A table of the model's layers in the order in which they ran: name, output shape, parameters and multiply-adds, for
// one input of the given shape (batch axis included), which is run through the model once in evaluation mode. The
// layers that a layer consists of stand below it, indented; those of its children that it did not call as module(x)
// have no shape. A Sequential as the model itself has no row. Each row's numbers are without those of the rows indented
// below it, and a parameter counts where it comes first, so that the rows add up to the total.
void print(Module& model, const Shape& input);
void print(std::ostream& out, Module& model, const Shape& input);

}  // namespace mixgrad::nn
