#include "golden.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <vector>

#include "core/autograd.h"
#include "core/pointwise.h"
#include "core/reduce.h"

namespace mixgrad::test {
namespace {

template <class T>
Tensor read_values(std::istream& in, const Shape& shape) {
  std::vector<T> values(static_cast<std::size_t>(shape.numel()));
  for (T& value : values) in >> value;
  return Tensor::from(values, shape);
}

std::vector<double> numbers(const Tensor& x) {
  return no_grad([&] { return x.to(DType::f64); }).to_vector<double>();
}

void check_shapes(const Tensor& actual, const Tensor& expected) {
  check(actual.shape() == expected.shape(), "golden: result ", actual.shape(), ", expected ", expected.shape());
}

}  // namespace

GoldenFile::GoldenFile(const std::string& name) : path_(MIXGRAD_GOLDEN_DIR "/" + name + ".txt") {
  std::ifstream in(path_);
  check(in.is_open(), "golden: can't open ", path_);
  std::string line;
  while (std::getline(in >> std::ws, line)) {
    if (line.front() == '#') continue;
    std::istringstream header(line);
    std::string tensor, dtype;
    header >> tensor >> dtype;
    std::vector<std::int64_t> extents;
    for (std::int64_t extent = 0; header >> extent;) extents.push_back(extent);
    check(header.eof() && (dtype == "f64" || dtype == "i32"), "golden: ", path_, ": no header: ", line.substr(0, 80));
    const Shape shape{std::span<const std::int64_t>(extents)};
    const Tensor value = dtype == "f64" ? read_values<double>(in, shape) : read_values<std::int32_t>(in, shape);
    check(!in.fail(), "golden: ", path_, ": ", tensor, " has fewer than ", shape.numel(), " numbers");
    check(tensors_.emplace(tensor, value).second, "golden: ", path_, ": ", tensor, " appears twice");
  }
}

const Tensor& GoldenFile::operator[](const std::string& tensor) const {
  const auto found = tensors_.find(tensor);
  check(found != tensors_.end(), "golden: ", path_, " has no tensor ", tensor);
  return found->second;
}

Tensor GoldenFile::get(const std::string& tensor, DType dtype) const { return (*this)[tensor].clone().to(dtype); }

double relative_error(const Tensor& actual, const Tensor& expected) {
  double largest = 0;
  for (const double value : numbers(expected)) largest = std::max(largest, std::abs(value));
  return elementwise_error(actual, expected, largest > 0 ? largest : 1);
}

double elementwise_error(const Tensor& actual, const Tensor& expected, double floor) {
  check_shapes(actual, expected);
  const std::vector<double> a = numbers(actual), e = numbers(expected);
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i]) || !std::isfinite(e[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(a[i] - e[i]) / std::max(std::abs(e[i]), floor));
  }
  return largest;
}

void check_case(const GoldenFile& golden, const std::string& name, const std::vector<std::string>& inputs,
                const std::function<Tensor(const Inputs&)>& f, const Tolerance& tolerance) {
  CAPTURE(name);
  in_both(tolerance.f64, tolerance.f32, [&](DType dtype, double bound) {
    const auto get = [&](const std::string& tensor) { return golden.get(name + "." + tensor, dtype); };
    Inputs leaves;
    for (const std::string& input : inputs) leaves.push_back(leaf(get(input)));
    const Tensor y = f(leaves);
    sum(y * get("dy")).backward();
    CHECK(elementwise_error(y, get("y"), tolerance.floor) <= bound);
    for (std::size_t i = 0; i < inputs.size(); ++i) {
      CAPTURE(inputs[i]);
      CHECK(elementwise_error(leaves[i].grad(), get("d" + inputs[i]), tolerance.gradient_floor) <= bound);
    }
  });
}

}  // namespace mixgrad::test
