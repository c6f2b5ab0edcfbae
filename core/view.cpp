#include "core/view.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/autograd.h"

namespace mixgrad {

Tensor reshape(const Tensor& x, const Shape& shape) {
  check(shape.numel() == x.numel(), "reshape: ", x.shape(), " has ", x.numel(), " elements, ", shape, " has ",
        shape.numel());
  Tensor out = x.raw_view(shape, 0);
  record(out, "reshape", {x}, [from = x.shape()](Tensor grad, Gradients& to) {
    grad = grad.raw_view(from, 0);  // now the only handle, if grad was
    to.add(0, std::move(grad));
  });
  return out;
}

Tensor reshape(const Tensor& x, std::initializer_list<std::int64_t> extents) {
  std::vector<std::int64_t> shape(extents);
  check(std::ranges::count(shape, -1) <= 1, "reshape: more than one extent is -1");
  if (const auto open = std::ranges::find(shape, -1); open != shape.end()) {
    *open = 1;
    const std::int64_t rest = Shape(shape).numel();
    if (rest == 0 || x.numel() % rest != 0) {
      std::string wanted;
      for (const std::int64_t extent : extents) wanted += text_of(wanted.empty() ? "" : ", ", extent);
      fail("reshape: ", x.shape(), " has ", x.numel(), " elements, [", wanted, "] does not fit");
    }
    *open = x.numel() / rest;
  }
  return reshape(x, Shape(shape));
}

Tensor flatten(const Tensor& x) {
  check(x.rank() >= 1, "flatten: needs at least one axis, got ", x.shape());
  return reshape(x, Shape{x.size(0), x.shape().product(1, x.rank())});
}

Tensor slice(const Tensor& x, std::int64_t begin, std::int64_t end) {
  check(x.rank() >= 1, "slice: needs at least one axis, got ", x.shape());
  check(0 <= begin && begin <= end && end <= x.size(0), "slice: rows ", begin, " to ", end, " of ", x.shape());
  const std::int64_t row = x.shape().product(1, x.rank());
  Tensor out = x.raw_view(x.shape().with(0, end - begin), begin * row);
  record(out, "slice", {x}, [shape = x.shape(), first = begin * row](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::zeros(shape, grad.options());
    dx.raw_view(grad.shape(), first).copy_(grad);
    to.add(0, std::move(dx));
  });
  return out;
}

}  // namespace mixgrad
