#include "nn/summary.h"

#include <algorithm>
#include <array>
#include <iomanip>
#include <iostream>
#include <iterator>

#include "core/autograd.h"
#include "nn/sequential.h"

namespace mixgrad::nn {
namespace {

std::string with_commas(std::int64_t number) {
  std::string digits = std::to_string(number);
  for (int at = static_cast<int>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<std::size_t>(at), 1, ',');
  return digits;
}

// What a module consists of by itself, and its children.
struct Parts : Visitor {
  explicit Parts(Module& module) { module.visit(*this); }
  void parameter(const std::string&, const Tensor& tensor) override { own.push_back(tensor); }
  void child(const std::string&, Module& module) override { children.push_back(&module); }
  std::vector<Tensor> own;
  std::vector<Module*> children;
};

struct Row {
  int depth;
  const Module* module;
  std::string output;
  std::int64_t parameters, multiply_adds;
};

// The rows of a model, a composite layer above those that it consists of.
class Rows {
 public:
  // `module` has run: what ran inside of it is what has been added one deeper since it began.
  void add(int depth, Module& module, const Shape& input, const Shape& output) {
    const auto level = static_cast<std::size_t>(depth);
    if (open_.size() < level + 2) open_.resize(level + 2);
    std::vector<Row> inside = std::exchange(open_[level + 1], {});
    const Parts parts(module);
    for (Module* child : parts.children)
      if (std::ranges::find(inside, child, &Row::module) == inside.end())
        inside.push_back({depth + 1, child, "", uncounted(parameters(*child)), 0});
    open_[level].push_back(
        {depth, &module, text_of(output), uncounted(parts.own), module.multiply_adds(input, output)});
    std::ranges::move(inside, std::back_inserter(open_[level]));
  }
  std::vector<Row> finished() { return std::move(open_.at(0)); }

 private:
  std::int64_t uncounted(const std::vector<Tensor>& tensors) {
    std::int64_t count = 0;
    for (const Tensor& tensor : tensors) {
      const auto same = [&](const Tensor& other) { return other.is(tensor); };
      if (!tensor.defined() || std::ranges::any_of(counted_, same)) continue;
      counted_.push_back(tensor);
      count += tensor.numel();
    }
    return count;
  }
  std::vector<std::vector<Row>> open_;  // by depth, of layers inside of which the one that runs at the depth above is
  std::vector<Tensor> counted_;
};

}  // namespace

void print(std::ostream& out, Module& model, const Shape& input) {
  Rows rows;
  {
    const EvalMode eval(model);
    const ForwardObserver observer([&](Module& module, const Shape& from, const Shape& to) {
      rows.add(ForwardObserver::depth(), module, from, to);
    });
    const std::vector<Tensor> weights = parameters(model);
    no_grad([&] { return model(Tensor::zeros(input, weights.empty() ? TensorOptions{} : weights[0].options())); });
  }
  std::vector<Row> layers = rows.finished();
  const int outermost = dynamic_cast<Sequential*>(&model) ? 1 : 0;
  layers.erase(layers.begin(), layers.begin() + outermost);

  using Line = std::array<std::string, 4>;
  std::vector<Line> lines{{"layer", "output", "parameters", "multiply-adds"}};
  std::int64_t total = 0;
  for (const Row& row : layers) {
    const auto indent = static_cast<std::size_t>(2 * (row.depth - outermost));
    lines.push_back({std::string(indent, ' ') + row.module->name(), row.output, with_commas(row.parameters),
                     with_commas(row.multiply_adds)});
    total += row.multiply_adds;
  }
  lines.push_back({"total", "", with_commas(num_parameters(model)), with_commas(total)});

  std::array<std::size_t, 4> widths{};
  for (const Line& line : lines)
    for (std::size_t i = 0; i < 4; ++i) widths[i] = std::max(widths[i], line[i].size() + 2);
  for (const Line& line : lines) {
    for (std::size_t i = 0; i < 4; ++i)
      out << (i < 2 ? std::left : std::right) << std::setw(static_cast<int>(widths[i])) << line[i];
    out << '\n';
  }
}

void print(Module& model, const Shape& input) { print(std::cout, model, input); }

}  // namespace mixgrad::nn
