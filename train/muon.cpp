#include "train/muon.h"

#include <cmath>
#include <limits>

#include "core/layout.h"
#include "core/matmul.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/unary.h"

namespace mixgrad::train {
namespace {

Tensor norm(const Tensor& x) { return sqrt(sum(x * x)); }

class Muon : public UpdateRule {
 public:
  explicit Muon(const MuonOptions& options)
      : UpdateRule({options.lr, options.momentum}, options.weight_decay), options_(options) {
    check(options.momentum >= 0 && options.weight_decay >= 0 && options.iterations >= 0, "muon: momentum ",
          options.momentum, ", weight decay ", options.weight_decay, " and iterations ", options.iterations,
          " must not be negative");
  }

  std::string description() const override {
    const auto [a, b, c] = options_.polynomial;
    return text_of("muon: lr ", rates.lr, ", momentum ", rates.momentum, ", iterations ", options_.iterations,
                   ", polynomial ", a, " ", b, " ", c, ", eps ", options_.eps,
                   options_.normalises ? ", normalises" : "");
  }
  std::vector<std::string> state() const override { return {"velocity"}; }
  bool by_matrix() const override { return true; }
  std::vector<double> coefficients(std::int64_t step, const Rates& rates, double weight_decay) const override {
    const bool normalises = options_.normalises && options_.normalises(step);
    return {rates.lr, rates.momentum, 1 - rates.lr * weight_decay, normalises ? 1.0 : 0.0};
  }
  void update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients,
              std::span<const Tensor> state) const override {
    const auto coefficient = [&](std::int64_t i) { return coefficients.raw_view({}, i); };
    const Tensor lr = coefficient(0), momentum = coefficient(1), shrink = coefficient(2), normalises = coefficient(3);
    const Tensor& velocity = state[0];
    velocity.copy_(momentum * velocity + gradients);
    const Tensor direction = orthogonal(gradients + momentum * velocity);
    Tensor weight = values;
    if (options_.normalises) {
      const double wanted = std::sqrt(static_cast<double>(values.size(0)));
      const Tensor factor = wanted / clamp(norm(values), 1e-30, std::numeric_limits<double>::infinity());
      weight = values * (1 + normalises * (factor - 1));
    }
    values.copy_((weight - lr * direction) * shrink);
  }

 private:
  Tensor orthogonal(const Tensor& u) const {
    const auto [a, b, c] = options_.polynomial;
    const bool tall = u.size(0) > u.size(1);
    Tensor x = u / (norm(u) + options_.eps);
    if (tall) x = transpose(x, 0, 1);
    for (int i = 0; i < options_.iterations; ++i) {
      const Tensor square = matmul(x, x, {.transpose_b = true});
      x = a * x + matmul(b * square + c * matmul(square, square), x);
    }
    return tall ? transpose(x, 0, 1) : x;
  }

  MuonOptions options_;
};

}  // namespace

Rule muon(const MuonOptions& options) { return std::make_shared<Muon>(options); }

}  // namespace mixgrad::train
