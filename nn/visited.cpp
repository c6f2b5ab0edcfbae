#include "nn/visited.h"

#include <algorithm>

#include "core/autograd.h"

namespace mixgrad::nn {

void check_visited(const Tensor& loss, Module& model) {
  if (!loss.requires_grad()) return;
  const std::vector<Tensor> all = parameters(model);
  for (const auto& leaf : leaves(loss))
    check(std::any_of(all.begin(), all.end(), [&](const Tensor& parameter) { return parameter.node() == leaf; }),
          "fit: a tensor of shape ", leaf->shape,
          " requires a gradient but is not a parameter of the model: does each module's visit() name all of its "
          "parameters and children?");
}

}  // namespace mixgrad::nn
