#include "train/optimizer.h"

#include <algorithm>
#include <utility>

#include "core/autograd.h"

namespace mixgrad::train {

Optimizer::Optimizer(const ParameterGroups& groups, double lr, double momentum, double weight_decay)
    : lr(lr), momentum(momentum) {
  std::int64_t total = 0;
  for (const ParameterGroup& group : groups) {
    const std::size_t begin = parameters_.size();
    for (const Tensor& tensor : group.parameters) {
      const auto align = static_cast<std::int64_t>(64 / size_of(tensor.dtype()));
      const std::int64_t size = (tensor.numel() + align - 1) / align * align;
      parameters_.push_back({.tensor = tensor, .gradient = {}, .first = total, .size = size, .frozen = false});
      total += size;
    }
    groups_.push_back({begin, parameters_.size(), group.lr_scale, group.weight_decay.value_or(weight_decay)});
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
  std::vector<double> all;
  for (const Group& group : groups_) {
    const std::vector<double> row = coefficients(step, lr * group.lr_scale, group.weight_decay);
    all.insert(all.end(), row.begin(), row.end());
  }
  const std::int64_t groups = std::ssize(groups_);
  return Tensor::from(all, {groups, std::ssize(all) / groups}).to(values_.dtype());
}

void Optimizer::step(const Tensor& coefficients) {
  bind_gradients();
  const NoGrad off;
  ++steps;
  for (std::int64_t group = 0; group < std::ssize(groups_); ++group) {
    const auto& [begin, end, lr_scale, weight_decay] = groups_[static_cast<std::size_t>(group)];
    const Tensor row = coefficients.raw_view({coefficients.size(1)}, group * coefficients.size(1));
    for (std::size_t i = begin; i < end; ++i) {
      const std::int64_t first = parameters_[i].first;
      std::int64_t size = 0;  // of neighbours that are not frozen
      for (; i < end && !parameters_[i].frozen; ++i) size += parameters_[i].size;
      if (size > 0) update(row, values_.raw_view({size}, first), gradients_.raw_view({size}, first), first);
    }
  }
}

void Optimizer::zero_grad() {
  bind_gradients();
  gradients_.fill_(0);
}

Tensor Optimizer::zeros_like_parameters() const { return Tensor::zeros(values_.shape(), values_.options()); }

std::string Optimizer::description() const {
  std::string text = name_and_options();
  for (const Group& group : groups_)
    text += text_of("; lr_scale ", group.lr_scale, ", weight_decay ", group.weight_decay);
  std::string frozen;
  for (std::size_t i = 0; i < parameters_.size(); ++i)
    if (!parameters_[i].tensor.requires_grad())
      frozen += text_of(frozen.empty() ? "; frozen parameters " : ", ", i + 1);
  text += frozen;
  return text;
}

ParameterGroups no_decay_of_vectors(nn::Module& model) {
  ParameterGroup matrices, vectors{.parameters = {}, .weight_decay = 0.0};
  for (const Tensor& parameter : nn::parameters(model))
    (parameter.rank() >= 2 ? matrices : vectors).parameters.push_back(parameter);
  return std::vector{matrices, vectors};
}

}  // namespace mixgrad::train
