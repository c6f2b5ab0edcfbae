#include "core/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/autograd.h"
#include "core/pointwise.h"
#include "core/random.h"
#include "core/reduce.h"

namespace mixgrad {
namespace {

Tensor random_normal(const Shape& shape, Random& random) {
  Tensor result = Tensor::empty(shape, {.dtype = DType::f64});
  double* values = result.mutable_data<double>();
  std::generate(values, values + result.numel(), [&] { return random.normal(); });
  return result;
}

}  // namespace

std::string gradcheck(const std::function<Tensor(const std::vector<Tensor>&)>& f, std::vector<Tensor> inputs,
                      GradcheckOptions options) {
  Random random(options.seed);
  for (Tensor& input : inputs) {
    check(input.dtype() == DType::f64, "gradcheck: inputs must be f64, got ", name_of(input.dtype()));
    input = input.clone().requires_grad_();
  }
  const Tensor output = f(inputs);
  const Tensor projection = random_normal(output.shape(), random);
  sum(output * projection).backward();

  // s with one of the inputs shifted by this much along a direction
  const auto value_at = [&](const Tensor& input, const std::vector<double>& direction, double shift) {
    const NoGrad off;
    const Tensor original = input.clone();
    double* values = input.mutable_data<double>();
    for (std::size_t i = 0; i < direction.size(); ++i) values[i] += shift * direction[i];
    const double value = sum(f(inputs) * projection).item();
    input.copy_(original);
    return value;
  };
  std::string report;
  // Whether the derivative along a direction of one input agrees.
  const auto agrees = [&](const Tensor& input, const std::vector<double>& direction) {
    double analytic = 0;
    if (const Tensor grad = input.grad())
      analytic = std::inner_product(direction.begin(), direction.end(), grad.data<double>(), 0.0);
    const double above = value_at(input, direction, options.step), below = value_at(input, direction, -options.step);
    const double numeric = (above - below) / (2 * options.step);
    if (std::abs(analytic - numeric) <= options.tolerance * (1 + std::abs(numeric))) return true;
    report = text_of(": backward says ", analytic, ", the finite difference ", numeric);
    return false;
  };

  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const auto n = static_cast<std::size_t>(inputs[k].numel());
    for (int d = 0; d < options.directions; ++d) {
      const std::vector<double> direction = random_normal(inputs[k].shape(), random).to_vector<double>();
      if (!agrees(inputs[k], direction)) return text_of("input ", k, ", random direction", report);
    }
    std::vector<std::int32_t> elements = random.permutation(static_cast<std::int64_t>(n));
    elements.resize(std::min<std::size_t>(n, 64));
    for (const std::int32_t element : elements) {
      std::vector<double> direction(n, 0.0);
      direction[static_cast<std::size_t>(element)] = 1;
      if (!agrees(inputs[k], direction)) return text_of("input ", k, ", element ", element, report);
    }
  }
  return {};
}

}  // namespace mixgrad
