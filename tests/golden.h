// Golden files: tensors that another framework computed, kept as text (golden/README.md), and how far a result is
// from them.
#pragma once

#include <doctest/doctest.h>

#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::test {

class GoldenFile {
 public:
  // Reads MIXGRAD_GOLDEN_DIR/<name>.txt. Throws an Error that names the file, and the tensor where there is one, when
  // it is missing or malformed.
  explicit GoldenFile(const std::string& name);

  // An f64 or i32 tensor; throws when the file has none of that name.
  const Tensor& operator[](const std::string& tensor) const;
  // The same as f32 or f64, in memory of its own.
  Tensor get(const std::string& tensor, DType dtype) const;

 private:
  std::string path_;
  std::unordered_map<std::string, Tensor> tensors_;
};

// The largest |actual - expected| over the largest |expected|; where all of those are zero, the largest |actual|.
// Infinite when either holds a number that is not finite. Throws when the shapes differ.
double relative_error(const Tensor& actual, const Tensor& expected);

// The largest |actual - expected| / max(|expected|, floor), element by element; otherwise as above.
double elementwise_error(const Tensor& actual, const Tensor& expected, double floor);

inline Tensor leaf(Tensor value) { return value.requires_grad_(); }

// Runs test(dtype, tolerance) in f64 and in f32.
template <class F>
void in_both(double f64_tolerance, double f32_tolerance, F test) {
  for (const DType precision : {DType::f64, DType::f32}) {
    const std::string dtype = name_of(precision);
    CAPTURE(dtype);
    test(precision, precision == DType::f64 ? f64_tolerance : f32_tolerance);
  }
}

struct Tolerance {
  double f64 = 0, f32 = 0;
  double floor = 1, gradient_floor = 1;  // of elementwise_error, for the result and for the gradients
};

using Inputs = std::vector<Tensor>;

// One case of a file: in both precisions, f of the tensors <name>.<input> is <name>.y, and the gradients of
// sum(y * <name>.dy) are <name>.d<input>.
void check_case(const GoldenFile& golden, const std::string& name, const std::vector<std::string>& inputs,
                const std::function<Tensor(const Inputs&)>& f, const Tolerance& tolerance = {});

}  // namespace mixgrad::test
