// That a module's visit() names all that is trained.
#pragma once

#include "nn/module.h"

namespace mixgrad::nn {

// Throws when a loss depends on a tensor that requires a gradient and is not among the parameters of the model: it
// would silently stay as it is.
void check_visited(const Tensor& loss, Module& model);

}  // namespace mixgrad::nn
