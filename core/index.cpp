#include "core/index.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/parallel.h"

namespace mixgrad {

void check_indices(const char* op, const Tensor& indices, std::int64_t size) {
  check(indices.rank() == 1 && indices.dtype() == DType::i32, op, ": indices must be i32 [N], got ",
        name_of(indices.dtype()), indices.shape());
  check(size > 0 || indices.numel() == 0, op, ": ", indices.numel(), " indices into an axis of size 0");
  dispatch("check_indices", indices.device(), [&](auto device) { kernels::check_indices(device, op, indices, size); });
}

Tensor gather(const Tensor& x, const Tensor& indices) {
  check(x.rank() >= 1, "gather: needs at least one axis, got ", x.shape());
  check_same_device("gather", x.device(), indices.device());
  check_indices("gather", indices, x.size(0));
  Tensor out = Tensor::empty(x.shape().with(0, indices.numel()), x.options());
  dispatch("gather", x.device(), [&](auto device) { kernels::gather(device, x, indices, out); });
  record(out, "gather", {x}, [indices = Saved(indices), shape = x.shape()](const Tensor& grad, Gradients& to) {
    Tensor dx = Tensor::empty(shape, grad.options());
    dispatch("gather_backward", grad.device(),
             [&](auto device) { kernels::gather_backward(device, *indices, grad, dx); });
    to.add(0, std::move(dx));
  });
  return out;
}

Tensor one_hot(const Tensor& indices, std::int64_t classes, DType dtype) {
  check_indices("one_hot", indices, classes);
  Tensor out = Tensor::empty({indices.numel(), classes}, {.dtype = dtype, .device = indices.device()});
  dispatch("one_hot", indices.device(), [&](auto device) { kernels::one_hot(device, indices, out); });
  return out;
}

namespace kernels {
namespace {
constexpr std::int64_t gather_grain = std::int64_t{1} << 15;  // elements copied per range
}

void gather(Cpu, const Tensor& x, const Tensor& indices, Out out) {
  const std::int64_t row = x.shape().product(1, x.rank()), bytes = row * static_cast<std::int64_t>(size_of(x.dtype()));
  const std::int32_t* pi = indices.data<std::int32_t>();
  const std::byte* px = x.data<std::byte>();
  std::byte* po = out.mutable_data<std::byte>();
  parallel_for(indices.numel(), rows_per_range(row, gather_grain), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t m = begin; m < end; ++m)
      std::memcpy(po + m * bytes, px + pi[m] * bytes, static_cast<std::size_t>(bytes));
  });
}

void gather_backward(Cpu, const Tensor& indices, const Tensor& dy, Out dx) {
  with_floating("gather", dx.dtype(), [&]<class T>(T) {
    const std::int64_t row = dx.shape().product(1, dx.rank());
    const std::int32_t* pi = indices.data<std::int32_t>();
    const T* pdy = dy.data<T>();
    const Scratch<double> sums(dx.numel());
    double* ps = sums.data();
    std::fill_n(ps, dx.numel(), 0.0);
    for (std::int64_t m = 0; m < indices.numel(); ++m)  // in order: rows that repeat add up the same way every time
      for (std::int64_t i = 0; i < row; ++i) ps[pi[m] * row + i] += static_cast<double>(pdy[m * row + i]);
    std::transform(ps, ps + dx.numel(), dx.mutable_data<T>(), [](double sum) { return static_cast<T>(sum); });
  });
}

void one_hot(Cpu, const Tensor& indices, Out out) {
  const std::int32_t* pi = indices.data<std::int32_t>();
  with_dtype(out.dtype(), [&]<class T>(T) {
    T* po = out.mutable_data<T>();
    std::fill(po, po + out.numel(), T{0});
    for (std::int64_t i = 0; i < indices.numel(); ++i) po[i * out.size(1) + pi[i]] = T{1};
  });
}

void check_indices(Cpu, const char* op, const Tensor& indices, std::int64_t size) {
  const std::int32_t* begin = indices.data<std::int32_t>();
  const std::int32_t* end = begin + indices.numel();
  const auto bad = std::find_if(begin, end, [=](std::int32_t index) { return index < 0 || index >= size; });
  if (bad != end) fail(op, ": index ", *bad, " at position ", bad - begin, " is outside 0..", size - 1);
}

}  // namespace kernels
}  // namespace mixgrad
