// Initial values of parameters, drawn from the default seed (core/random.h: manual_seed). Each call takes the next
// random stream, so the same program gives the same weights. Another than a layer's own: layer.weight =
// parameter(xavier_uniform(layer.weight.shape(), in, out)).
//
// fan_in is the number of inputs that one output reads, fan_out the number of outputs that one input reaches: for a
// convolution k*k*in and k*k*out.
#pragma once

#include "core/tensor.h"

namespace mixgrad::nn {

// Normal with standard deviation sqrt(2 / fan_in), which keeps the variance of activations through layers of ReLU
// (He et al., "Delving deep into rectifiers", 2015).
Tensor kaiming_normal(const Shape& shape, std::int64_t fan_in);

// With variance 2 / (fan_in + fan_out), normal or uniform, for layers of tanh or none (Glorot and Bengio,
// "Understanding the difficulty of training deep feedforward neural networks", 2010).
Tensor xavier_normal(const Shape& shape, std::int64_t fan_in, std::int64_t fan_out);
Tensor xavier_uniform(const Shape& shape, std::int64_t fan_in, std::int64_t fan_out);

// Uniform in +-1 / sqrt(fan_in): how PyTorch's convolutions and linear layers start.
Tensor fan_in_uniform(const Shape& shape, std::int64_t fan_in);

// Makes the first filters of a convolution's weight [out, k, k, in], k odd, the identity: output i < min(out, in) is
// channel i of the pixel at the kernel's centre (Zagoruyko and Komodakis, "DiracNets", 2017). Throws on other shapes.
void dirac_(const Tensor& weight);

}  // namespace mixgrad::nn
