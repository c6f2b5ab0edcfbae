// Golden files: tensors that another framework computed, kept as text (golden/README.md), and how far a result is
// from them.
#pragma once

#include <string>
#include <unordered_map>

#include "core/tensor.h"

namespace mixgrad::testing {

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

}  // namespace mixgrad::testing
