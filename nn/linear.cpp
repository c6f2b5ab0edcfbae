#include "nn/linear.h"

#include "core/matmul.h"
#include "core/pointwise.h"
#include "nn/init.h"

namespace mixgrad::nn {

Linear::Linear(std::int64_t in_features, std::int64_t out_features, const LinearOptions& options) {
  check(in_features > 0 && out_features > 0, "Linear: needs positive feature counts, got ", in_features, " and ",
        out_features);
  weight = parameter(kaiming_normal({out_features, in_features}, in_features));
  if (options.bias) bias = parameter(Tensor::zeros({out_features}));
}

Tensor Linear::forward(const Tensor& x) {
  check(x.rank() == 2 && x.size(1) == weight.size(1), "Linear: input ", x.shape(), " must be [N, ", weight.size(1),
        "] for weight ", weight.shape());
  const Tensor y = matmul(x, weight, {.transpose_b = true});
  return bias.defined() ? y + bias : y;
}

void Linear::visit(Visitor& visitor) {
  visitor.parameter("weight", weight);
  visitor.parameter("bias", bias);
}

std::string Linear::name() const { return text_of("Linear(", weight.size(1), ", ", weight.size(0), ")"); }

std::int64_t Linear::multiply_adds(const Shape&, const Shape& output) const { return output.numel() * weight.size(1); }

}  // namespace mixgrad::nn
