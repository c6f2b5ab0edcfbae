#include "core/gradcheck.h"

#include <algorithm>
#include <cmath>
#include <sstream>

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

// x + scale * direction in place
void shift(const Tensor& x, const std::vector<double>& direction, double scale) {
  const NoGrad off;
  double* values = x.mutable_data<double>();
  for (std::size_t i = 0; i < direction.size(); ++i) values[i] += scale * direction[i];
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

  const auto value = [&] { return no_grad([&] { return sum(f(inputs) * projection).item(); }); };
  std::ostringstream report;
  // Whether the derivative along a direction of one input agrees.
  const auto agrees = [&](const Tensor& input, const std::vector<double>& direction) {
    double analytic = 0;
    if (input.grad().defined()) {
      const double* grad = input.grad().data<double>();
      for (std::size_t i = 0; i < direction.size(); ++i) analytic += grad[i] * direction[i];
    }
    const std::vector<double> original = input.to_vector<double>();
    shift(input, direction, options.step);
    const double above = value();
    std::copy(original.begin(), original.end(), input.mutable_data<double>());
    shift(input, direction, -options.step);
    const double below = value();
    std::copy(original.begin(), original.end(), input.mutable_data<double>());
    const double numeric = (above - below) / (2 * options.step);
    const bool ok = std::abs(analytic - numeric) <= options.tolerance * (1 + std::abs(numeric));
    if (!ok) report << ": backward says " << analytic << ", the difference quotient " << numeric;
    return ok;
  };

  for (std::size_t k = 0; k < inputs.size(); ++k) {
    const auto n = static_cast<std::size_t>(inputs[k].numel());
    for (int d = 0; d < options.directions; ++d) {
      const std::vector<double> direction = random_normal(inputs[k].shape(), random).to_vector<double>();
      if (!agrees(inputs[k], direction)) return "input " + std::to_string(k) + ", random direction" + report.str();
    }
    std::vector<std::int32_t> elements = random.permutation(static_cast<std::int64_t>(n));
    elements.resize(std::min<std::size_t>(n, 64));
    for (const std::int32_t element : elements) {
      std::vector<double> direction(n, 0.0);
      direction[static_cast<std::size_t>(element)] = 1;
      if (!agrees(inputs[k], direction))
        return "input " + std::to_string(k) + ", element " + std::to_string(element) + report.str();
    }
  }
  return {};
}

}  // namespace mixgrad
