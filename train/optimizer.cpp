#include "train/optimizer.h"

#include <algorithm>
#include <utility>

#include "core/autograd.h"

namespace mixgrad::train {

Optimizer::Optimizer(const ParameterGroups& groups, const Rule& rule) {
  std::int64_t total = 0;
  for (const ParameterGroup& group : groups) {
    const Rule& own = group.rule ? group.rule : rule;
    check(own != nullptr, "optimizer: a group of parameters has no rule");
    const std::size_t begin = parameters_.size();
    for (const Tensor& tensor : group.parameters) {
      check(!own->by_matrix() || tensor.rank() >= 2, "optimizer: ", own->description(),
            " is not for a parameter of shape ", tensor.shape(), ", which has fewer than two axes");
      const auto align = static_cast<std::int64_t>(64 / size_of(tensor.dtype()));
      const std::int64_t size = (tensor.numel() + align - 1) / align * align;
      parameters_.push_back({.tensor = tensor, .gradient = {}, .first = total, .size = size, .frozen = false});
      total += size;
    }
    const double decay = group.weight_decay.value_or(own->weight_decay);
    groups_.push_back({begin, parameters_.size(), group.lr_scale, decay, own, {}});
    rates.push_back(own->rates);
  }
  check(!parameters_.empty(), "optimizer: there are no parameters to train");
  const TensorOptions options = parameters_.front().tensor.options();
  for (const Parameter& parameter : parameters_) {
    const Tensor& tensor = parameter.tensor;
    check(!tensor.requires_grad() || tensor.node()->leaf, "optimizer: a tensor of shape ", tensor.shape(),
          " is not a parameter: it is computed");
    check(tensor.dtype() == options.dtype && tensor.device() == options.device,
          "optimizer: parameters must share one dtype and device");
    const auto same = [&](const Parameter& other) { return other.tensor.is(tensor); };
    check(std::ranges::count_if(parameters_, same) == 1, "optimizer: a parameter of shape ", tensor.shape(),
          " is listed twice");
  }
  check_some_train();
  values_ = Tensor::zeros({total}, options);
  gradients_ = Tensor::zeros({total}, options);
  for (Parameter& parameter : parameters_) {
    const Tensor place = values_.raw_view(parameter.tensor.shape(), parameter.first);
    place.copy_(parameter.tensor.detach());
    parameter.tensor.rebind_(place);
    parameter.gradient = gradients_.raw_view(parameter.tensor.shape(), parameter.first);
    if (parameter.tensor.requires_grad()) parameter.tensor.node()->grad = parameter.gradient;
  }
  for (Group& group : groups_)
    for (const std::string& name : group.rule->state()) {
      auto kept = std::ranges::find(state_, name, &NamedTensor::name);
      if (kept == state_.end()) kept = state_.insert(kept, {name, Tensor::zeros({total}, options)});
      group.state.push_back(kept->tensor);
    }
  bind_gradients();
}

void Optimizer::check_some_train() const {
  const auto trains = [](const Parameter& parameter) { return parameter.tensor.requires_grad(); };
  check(std::ranges::any_of(parameters_, trains),
        "optimizer: no parameter requires a gradient: all are frozen; requires_grad_() unfreezes one");
}

// Parameters may have been frozen or unfrozen since: the latter are new leaves, and may have a gradient already.
void Optimizer::bind_gradients() {
  for (auto& [tensor, gradient, first, size, frozen] : parameters_) {
    check(tensor.storage() == values_.storage(), "optimizer: another optimizer has taken over its parameters");
    const bool was_frozen = std::exchange(frozen, !tensor.requires_grad());
    if (frozen) {
      if (!was_frozen) gradient.fill_(0);
    } else if (Tensor& grad = tensor.node()->grad; !grad.is(gradient)) {
      if (grad.defined()) gradient.copy_(grad);
      grad = gradient;
    }
  }
  check_some_train();
}

const Tensor& Optimizer::gradients() {
  bind_gradients();
  return gradients_;
}

Tensor Optimizer::coefficients(std::int64_t step) const {
  std::vector<std::vector<double>> rows;
  std::size_t columns = 0;
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const Rates scaled{groups_[i].lr_scale * rates[i].lr, rates[i].momentum};
    rows.push_back(groups_[i].rule->coefficients(step, scaled, groups_[i].weight_decay));
    columns = std::max(columns, rows.back().size());
  }
  std::vector<double> all;
  for (std::vector<double>& row : rows) {
    row.resize(columns);
    all.insert(all.end(), row.begin(), row.end());
  }
  return Tensor::from(all, {std::ssize(rows), static_cast<std::int64_t>(columns)}).to(values_.dtype());
}

void Optimizer::step(const Tensor& coefficients) {
  bind_gradients();
  const NoGrad off;
  ++steps;
  for (std::size_t g = 0; g < groups_.size(); ++g) {
    const Group& group = groups_[g];
    const std::int64_t columns = coefficients.size(1);
    const Tensor row = coefficients.raw_view({columns}, static_cast<std::int64_t>(g) * columns);
    const auto update = [&](const Shape& shape, std::int64_t first) {
      std::vector<Tensor> state;
      for (const Tensor& all : group.state) state.push_back(all.raw_view(shape, first));
      group.rule->update(row, values_.raw_view(shape, first), gradients_.raw_view(shape, first), state);
    };
    for (std::size_t i = group.begin; i < group.end; ++i) {
      const std::int64_t first = parameters_[i].first;
      if (group.rule->by_matrix()) {
        const Shape& shape = parameters_[i].tensor.shape();
        if (!parameters_[i].frozen && shape.numel() > 0) update({shape[0], shape.numel() / shape[0]}, first);
        continue;
      }
      std::int64_t size = 0;  // of neighbours that are not frozen
      for (; i < group.end && !parameters_[i].frozen; ++i) size += parameters_[i].size;
      if (size > 0) update({size}, first);
    }
  }
}

void Optimizer::zero_grad() {
  bind_gradients();
  gradients_.fill_(0);
}

std::vector<NamedTensor> Optimizer::state() const { return state_; }

std::string Optimizer::description() const {
  std::string text;
  Rule last;
  for (const Group& group : groups_) {
    if (group.rule != last) text += text_of(last ? "; " : "", group.rule->description());
    last = group.rule;
    text += text_of("; lr_scale ", group.lr_scale, ", weight_decay ", group.weight_decay);
  }
  std::string frozen;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!parameters_[i].tensor.requires_grad())
      frozen += text_of(frozen.empty() ? "; frozen parameters " : ", ", i + 1);
  text += frozen;
  return text;
}

void set_lr(std::vector<Rates>& rates, double lr) {
  for (Rates& group : rates) group.lr = lr;
}

ParameterGroups no_decay_of_vectors(nn::Module& model) {
  ParameterGroup matrices, vectors{.parameters = {}, .weight_decay = 0.0};
  for (const Tensor& parameter : nn::parameters(model))
    (parameter.rank() >= 2 ? matrices : vectors).parameters.push_back(parameter);
  return std::vector{matrices, vectors};
}

}  // namespace mixgrad::train
