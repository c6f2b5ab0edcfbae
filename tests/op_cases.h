// The table of op cases: every differentiable operation, on shapes that reach each of its branches. One entry serves
// the gradient check, the comparison of f32 with f64, the check that threads change no bit, and the search for leaks
// (test_ops.cpp, test_autograd.cpp). To cover a new operation, add an entry in op_cases.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/gradcheck.h"
#include "core/tensor.h"

namespace mixgrad::test {

// What an operation's inputs look like.
enum class Domain {
  normal,          // mean 0, deviation 1
  away_from_zero,  // normal, pushed out to |x| >= 0.5: no kink and no pole nearby
  positive,        // the same without its sign
  distinct,        // in -2..2, no two elements closer than 4 / numel: a small step changes no maximum
};

using Inputs = std::vector<Tensor>;

struct OpCase {
  std::string name = {};           // "add, row"
  std::vector<Shape> inputs = {};  // small: the gradient check perturbs each element
  std::vector<Shape> large = {};   // enough work to be shared among threads; empty: nothing in it is shared
  std::function<Tensor(const Inputs&)> f = {};  // deterministic, in the dtype of its inputs, for any extents
  Domain domain = Domain::normal;
  bool needs_f64 = false;  // computes in f64, whatever its inputs: not on a GPU
  // Central differences with a step of 1e-5 are off by about 1e-10 (third derivative) and 1e-11 (rounding); 1e-7
  // leaves room for sums of many terms.
  GradcheckOptions gradcheck = {.tolerance = 1e-7};
  // |f32 - f64| <= tolerance * (1 + |f64|), for the output and each gradient. A rounding is 6e-8; a hundred roundings
  // of values near 1 stay below 1e-5.
  double f32_tolerance = 1e-5;
};

const std::vector<OpCase>& op_cases();

// Inputs of these shapes. Their values are f32 numbers in either dtype, so that results can be compared.
Inputs make_inputs(const std::vector<Shape>& shapes, Domain domain, DType dtype, std::uint64_t seed = 1);
inline Inputs make_inputs(const OpCase& op, DType dtype) { return make_inputs(op.inputs, op.domain, dtype); }

// The case with 0 in the place of one of its extents, in all inputs that have it, for each of them: it may be refused.
std::vector<OpCase> empty_cases(const OpCase& op);

// What f computes, and the gradients of <projection, f(inputs)> for a fixed random projection, all as f64.
struct Evaluation {
  Tensor output;
  std::vector<Tensor> gradients;
};
Evaluation evaluate(const OpCase& op, const Inputs& inputs);

inline Tensor normal(const Shape& shape, DType dtype = DType::f32) {
  return make_inputs({shape}, Domain::normal, dtype, 5)[0];
}

}  // namespace mixgrad::test
