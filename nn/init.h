// Initial values of parameters, drawn from the default seed (core/random.h: manual_seed). Each call takes the next
// random stream, so the same program gives the same weights.
#pragma once

#include "core/tensor.h"

namespace mixgrad::nn {

// Normal with standard deviation sqrt(2 / fan_in), which keeps the variance of activations through layers of ReLU
// (He et al., "Delving deep into rectifiers", 2015). fan_in is the number of inputs that one output reads.
Tensor kaiming_normal(const Shape& shape, std::int64_t fan_in);

}  // namespace mixgrad::nn
