#include "train/optimizer.h"

#include "core/autograd.h"

namespace mixgrad::train {

Optimizer::Optimizer(std::vector<Tensor> parameters, double lr) : lr(lr), parameters_(std::move(parameters)) {
  check(!parameters_.empty(), "optimizer: there are no parameters to train");
  const TensorOptions options = parameters_.front().options();
  const auto align = static_cast<std::int64_t>(64 / size_of(options.dtype));
  const auto padded = [=](const Tensor& parameter) { return (parameter.numel() + align - 1) / align * align; };
  std::int64_t total = 0;
  for (const Tensor& parameter : parameters_) {
    check(parameter.requires_grad() && parameter.node()->leaf, "optimizer: a tensor of shape ", parameter.shape(),
          " is no parameter: it does not require a gradient, or is computed");
    check(parameter.dtype() == options.dtype && parameter.device() == options.device,
          "optimizer: parameters must share one dtype and device");
    total += padded(parameter);
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

void Optimizer::step() {
  for (const Tensor& parameter : parameters_)
    check(parameter.storage() == values_.storage() && parameter.grad().storage() == gradients_.storage(),
          "optimizer: another optimizer has taken over its parameters");
  const NoGrad off;
  update(values_, gradients_);
}

void Optimizer::zero_grad() { gradients_.fill_(0); }

Tensor Optimizer::zeros_like_parameters() const { return Tensor::zeros(values_.shape(), values_.options()); }

}  // namespace mixgrad::train
