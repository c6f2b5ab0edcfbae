// The gradient checker: does backward agree with the function that it differentiates?
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad {

struct GradcheckOptions {
  double step = 1e-5;       // of the central difference
  double tolerance = 1e-6;  // relative, see below
  std::uint64_t seed = 1;
  int directions = 3;  // random directions tried per input, besides single elements
};

// Compares the gradient of s(x) = <projection, f(x)>, for a random projection, with central differences
// (s(x + h d) - s(x - h d)) / 2h: along random directions d through each whole input, and along single elements (all of
// them, or 64 chosen at random in a large input). Agreement means |analytic - numeric| <= tolerance * (1 + |numeric|)
// for each.
//
// inputs: f64; each is made a leaf. f must be deterministic, and smooth near the inputs: choose them away from kinks.
// Returns an empty string, or a sentence that names the input, the element and both values.
std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& f, std::vector<Tensor> inputs,
                      GradcheckOptions options = {});

}  // namespace mixgrad
