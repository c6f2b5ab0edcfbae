// What the golden files of whole models start from, and what they hold of large tensors: nn_cases.py has the same
// formulas.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::test {

// In -1..1, multiples of 1/128 that look like noise.
inline Tensor noise(const Shape& shape, std::int64_t offset, DType dtype) {
  std::vector<double> values;
  for (std::int64_t k = offset; k < offset + shape.numel(); ++k)
    values.push_back(static_cast<double>(k * k * k % 251 - 125) / 128);
  return Tensor::from(values, shape).to(dtype);
}

inline Tensor starting_value(const std::string& name, const Shape& shape, std::int64_t offset, DType dtype) {
  const Tensor values = noise(shape, offset, dtype);
  if (shape.rank() == 1) return values / 4.0 + (name.ends_with("weight") ? 1.0 : 0.0);
  const double fan_in = static_cast<double>(shape.numel() / shape[0]);
  return values * std::exp2(std::floor(std::log2(6 / fan_in) / 2));
}

// 16 elements, or all of fewer, evenly spaced; then the mean and the root mean square.
inline Tensor digest(const Tensor& tensor) {
  const std::vector<double> all = tensor.detach().to(DType::f64).to_vector<double>();
  std::vector<double> result;
  const std::size_t count = std::min<std::size_t>(all.size(), 16);
  for (std::size_t i = 0; i < count; ++i) result.push_back(all[i * all.size() / count]);
  double total = 0, squares = 0;
  for (const double value : all) {
    total += value;
    squares += value * value;
  }
  const auto n = static_cast<double>(all.size());
  result.insert(result.end(), {total / n, std::sqrt(squares / n)});
  return Tensor::from(result, {static_cast<std::int64_t>(result.size())});
}

// Gives the parameters of a model their starting values, and parameters and buffers the dtype: layers make f32 alone.
class Start : public nn::Visitor {
 public:
  explicit Start(DType dtype) : dtype_(dtype) {}
  void parameter(const std::string& name, const Tensor& tensor) override {
    if (!tensor) return;  // a bias that is not there
    replace(tensor, nn::parameter(starting_value(name, tensor.shape(), count_++, dtype_)));
  }
  void buffer(const std::string&, const Tensor& tensor) override { replace(tensor, tensor.to(dtype_)); }
  void child(const std::string&, nn::Module& module) override { module.visit(*this); }

 private:
  // A visitor is shown the layer's own member, which is not const.
  static void replace(const Tensor& member, const Tensor& value) { const_cast<Tensor&>(member) = value; }
  DType dtype_;
  std::int64_t count_ = 0;
};

}  // namespace mixgrad::test
