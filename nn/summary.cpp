#include "nn/summary.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <iostream>

#include "core/autograd.h"

namespace mixgrad::nn {
namespace {

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

}  // namespace

void print(std::ostream& out, Module& model, const Shape& input) {
  using Row = std::array<std::string, 4>;
  std::vector<Row> rows{{"layer", "output", "parameters", "multiply-adds"}};
  std::int64_t total = 0;
  const EvalMode eval(model);
  const ForwardObserver observer([&](Module& module, const Shape& from, const Shape& to) {
    if (has_children(module)) return;
    const std::int64_t cost = module.multiply_adds(from, to);
    total += cost;
    rows.push_back({module.name(), text_of(to), with_commas(num_parameters(module)), with_commas(cost)});
  });
  const std::vector<Tensor> weights = parameters(model);
  no_grad([&] { return model(Tensor::zeros(input, {.dtype = weights.empty() ? DType::f32 : weights[0].dtype()})); });
  rows.push_back({"total", "", with_commas(num_parameters(model)), with_commas(total)});

  std::array<std::size_t, 4> widths{};
  for (const Row& row : rows)
    for (std::size_t i = 0; i < 4; ++i) widths[i] = std::max(widths[i], row[i].size() + 2);
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < 4; ++i)
      out << (i < 2 ? std::left : std::right) << std::setw(static_cast<int>(widths[i])) << row[i];
    out << '\n';
  }
}

void print(Module& model, const Shape& input) { print(std::cout, model, input); }

}  // namespace mixgrad::nn
