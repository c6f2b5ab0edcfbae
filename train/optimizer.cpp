#include "train/optimizer.h"

#include "core/autograd.h"

namespace mixgrad::train {

Optimizer::Optimizer(const ParameterGroups& groups, double lr, double momentum, double weight_decay)
    : lr(lr), momentum(momentum) {
  for (const ParameterGroup& group : groups)
    parameters_.insert(parameters_.end(), group.parameters.begin(), group.parameters.end());
  check(!parameters_.empty(), "optimizer: there are no parameters to train");
  const TensorOptions options = parameters_.front().options();
  const auto align = static_cast<std::int64_t>(64 / size_of(options.dtype));
  const auto padded = [=](const Tensor& parameter) { return (parameter.numel() + align - 1) / align * align; };
  std::int64_t total = 0;
  for (const ParameterGroup& group : groups) {
    const std::int64_t first = total;
    for (const Tensor& parameter : group.parameters) {
      check(parameter.requires_grad() && parameter.node()->leaf, "optimizer: a tensor of shape ", parameter.shape(),
            " is no parameter: it does not require a gradient, or is computed");
      check(parameter.dtype() == options.dtype && parameter.device() == options.device,
            "optimizer: parameters must share one dtype and device");
      total += padded(parameter);
    }
    ranges_.push_back({first, total - first, group.lr_scale, group.weight_decay.value_or(weight_decay)});
  }
  values_ = Tensor::zeros({total}, options);
  gradients_ = Tensor::zeros({total}, options);
  std::int64_t at = 0;
  for (const Tensor& parameter : parameters_) {
    const Tensor place = values_.raw_view(parameter.shape(), at);
    place.copy_(parameter.detach());
    parameter.rebind_(place);
    parameter.node()->grad = gradients_.raw_view(parameter.shape(), at);
    at += padded(parameter);
  }
}

Tensor Optimizer::coefficients(std::int64_t step) const {
  std::vector<double> all;
  for (const Range& group : ranges_) {
    const std::vector<double> row = coefficients(step, lr * group.lr_scale, group.weight_decay);
    all.insert(all.end(), row.begin(), row.end());
  }
  const std::int64_t groups = std::ssize(ranges_);
  return Tensor::from(all, {groups, std::ssize(all) / groups}).to(values_.dtype());
}

void Optimizer::step(const Tensor& coefficients) {
  for (const Tensor& parameter : parameters_)
    check(parameter.storage() == values_.storage() && parameter.grad().storage() == gradients_.storage(),
          "optimizer: another optimizer has taken over its parameters");
  const NoGrad off;
  ++steps;
  for (std::int64_t group = 0; group < std::ssize(ranges_); ++group) {
    const auto& [first, size, lr_scale, weight_decay] = ranges_[static_cast<std::size_t>(group)];
    update(coefficients.raw_view({coefficients.size(1)}, group * coefficients.size(1)), values_.raw_view({size}, first),
           gradients_.raw_view({size}, first), first);
  }
}

void Optimizer::zero_grad() { gradients_.fill_(0); }

Tensor Optimizer::zeros_like_parameters() const { return Tensor::zeros(values_.shape(), values_.options()); }

std::string Optimizer::description() const {
  std::string text = name_and_options();
  for (const Range& group : ranges_)
    text += text_of("; lr_scale ", group.lr_scale, ", weight_decay ", group.weight_decay);
  return text;
}

ParameterGroups no_decay_of_vectors(nn::Module& model) {
  ParameterGroup matrices, vectors{.parameters = {}, .weight_decay = 0.0};
  for (const Tensor& parameter : nn::parameters(model))
    (parameter.rank() >= 2 ? matrices : vectors).parameters.push_back(parameter);
  return std::vector{matrices, vectors};
}

}  // namespace mixgrad::train
