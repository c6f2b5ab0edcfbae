#include "nn/summary.h"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "core/autograd.h"

namespace mixgrad::nn {
namespace {

struct HasChildren : Visitor {
  bool found = false;
  void parameter(const std::string&, const Tensor&) override {}
  void buffer(const std::string&, const Tensor&) override {}
  void child(const std::string&, Module&) override { found = true; }
};

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

}  // namespace

void print(std::ostream& out, Module& model, const Shape& input) {
  struct Row {
    std::string layer, shape, parameters, multiply_adds;
  };
  std::vector<Row> rows{{"layer", "output", "parameters", "multiply-adds"}};
  std::int64_t total = 0;
  const auto text = [](const Shape& shape) {
    std::ostringstream result;
    result << shape;
    return result.str();
  };
  const EvalMode eval(model);
  const ForwardObserver observer([&](Module& module, const Shape& from, const Shape& to) {
    HasChildren inner;
    module.visit(inner);
    if (inner.found) return;
    const std::int64_t cost = module.multiply_adds(from, to);
    total += cost;
    rows.push_back({module.name(), text(to), with_commas(num_parameters(module)), with_commas(cost)});
  });
  const std::vector<Tensor> weights = parameters(model);
  no_grad([&] { return model(Tensor::zeros(input, {.dtype = weights.empty() ? DType::f32 : weights[0].dtype()})); });
  rows.push_back({"total", "", with_commas(num_parameters(model)), with_commas(total)});

  const auto width = [&](std::string Row::*column) {
    std::size_t widest = 0;
    for (const Row& row : rows) widest = std::max(widest, (row.*column).size());
    return static_cast<int>(widest) + 2;
  };
  const int layer = width(&Row::layer), shape = width(&Row::shape);
  const int parameters = width(&Row::parameters), multiply_adds = width(&Row::multiply_adds);
  for (const Row& row : rows)
    out << std::left << std::setw(layer) << row.layer << std::setw(shape) << row.shape << std::right
        << std::setw(parameters) << row.parameters << std::setw(multiply_adds) << row.multiply_adds << '\n';
}

void print(Module& model, const Shape& input) { print(std::cout, model, input); }

}  // namespace mixgrad::nn
