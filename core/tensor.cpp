#include "core/tensor.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <ostream>

#include "core/allocator.h"
#include "core/autograd.h"
#include "core/broadcast.h"
#include "core/elementwise.h"
#include "core/parallel.h"
#ifdef MIXGRAD_WITH_CUDA
#include "core/cuda.h"
#endif

namespace mixgrad {

Storage::Storage(Device device, std::size_t bytes)
    : device_(device), size_(bytes), memory_(static_cast<std::byte*>(allocate(device, bytes))) {}

Storage::~Storage() { deallocate(device_, memory_, size_); }

Tensor Tensor::empty(const Shape& shape, TensorOptions options) {
  check(options.device == cpu || options.dtype != DType::f64, "tensor: f64 exists on the CPU only; use f32 on ",
        options.device);
  Tensor result;
  result.impl_ = std::make_shared<Impl>();
  result.impl_->shape = shape;
  result.impl_->options = options;
  result.impl_->storage = std::make_shared<Storage>(options.device, result.num_bytes());
  return result;
}

Tensor Tensor::full(const Shape& shape, double value, TensorOptions options) {
  Tensor result = empty(shape, options);
  result.fill_(value);
  return result;
}

Tensor Tensor::zeros(const Shape& shape, TensorOptions options) { return full(shape, 0, options); }
Tensor Tensor::ones(const Shape& shape, TensorOptions options) { return full(shape, 1, options); }

void Tensor::check_dtype(DType expected) const {
  check(dtype() == expected, "tensor: is ", name_of(dtype()), ", read as ", name_of(expected));
}

std::byte* Tensor::memory(Device where) const {
  check(device() == where, "tensor: is on ", device(), ", read on ", where, "; make a copy there with to(", where, ")");
  return impl().storage->bytes() + impl().offset;
}

double Tensor::item() const {
  check(numel() == 1, "item: a tensor of shape ", shape(), " is not a single value");
  const Tensor host = to(cpu);
  return with_dtype(dtype(), [&]<class T>(T) { return static_cast<double>(*host.data<T>()); });
}

Tensor Tensor::clone() const {
  Tensor result = empty(shape(), options());
  dispatch("copy", device(), [&](auto device) { kernels::copy(device, *this, result); });
  return result;
}

Tensor Tensor::detach() const {
  Tensor result;
  result.impl_ = std::make_shared<Impl>(impl());
  result.impl_->node = nullptr;
  return result;
}

Tensor Tensor::to(Device target) const {
  if (target == device()) return *this;
  Tensor result = empty(shape(), {.dtype = dtype(), .device = target});
#ifdef MIXGRAD_WITH_CUDA
  (target == cuda ? upload : download)(result.memory(target), memory(device()), num_bytes());
#endif
  if (is_floating(dtype()))
    record(result, "to", {*this},
           [source = device()](const Tensor& grad, Gradients& to) { to.add(0, grad.to(source)); });
  return result;
}

Tensor Tensor::to(DType target) const {
  if (target == dtype()) return *this;
  Tensor result = empty(shape(), {.dtype = target, .device = device()});
  dispatch("convert", device(), [&](auto device) { kernels::convert(device, *this, result); });
  if (is_floating(dtype()) && is_floating(target))
    record(result, "to", {*this},
           [source = dtype()](const Tensor& grad, Gradients& to) { to.add(0, grad.to(source)); });
  return result;
}

void Tensor::check_writable(const char* op) const {
  check(!requires_grad() || !grad_enabled(), op,
        ": writes in place to a tensor that requires a gradient; use "
        "no_grad or detach()");
}

void Tensor::fill_(double value) const {
  check_writable("fill_");
  with_dtype(dtype(), [&]<class T>(T) {
    if constexpr (std::is_integral_v<T>)
      check(value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max(), "fill_: ", value,
            " is not a ", name_of(dtype()));
  });
  dispatch("fill", device(), [&](auto device) { kernels::fill(device, value, *this); });
}

void Tensor::copy_(const Tensor& source) const {
  check_writable("copy_");
  check(shape() == source.shape() && dtype() == source.dtype(), "copy_: source is ", name_of(source.dtype()),
        source.shape(), ", destination ", name_of(dtype()), shape());
  const Tensor here = source.detach().to(device());
  dispatch("copy", device(), [&](auto device) { kernels::copy(device, here, *this); });
}

const Tensor& Tensor::requires_grad_(bool on) const {
  check(!on || is_floating(dtype()), "requires_grad_: needs f32 or f64, not ", name_of(dtype()));
  if (!on) {
    impl().node = nullptr;
  } else if (!requires_grad()) {
    impl().node = std::make_shared<Node>("leaf", *this);
    impl().node->leaf = true;
  }
  return *this;
}

Tensor Tensor::grad() const { return requires_grad() ? impl().node->grad : Tensor(); }

Tensor Tensor::raw_view(const Shape& shape, std::int64_t first_element) const {
  check(first_element >= 0 && first_element <= numel() - shape.numel(), "raw_view: ", shape, " from element ",
        first_element, " on is outside ", this->shape());
  Tensor result = detach();
  result.impl_->shape = shape;
  result.impl_->offset += static_cast<std::size_t>(first_element) * size_of(dtype());
  return result;
}

void Tensor::rebind_(const Tensor& other) const {
  check(shape() == other.shape() && dtype() == other.dtype(), "rebind_: ", shape(), " to ", other.shape());
  impl().storage = other.impl().storage;
  impl().offset = other.impl().offset;
  impl().options.device = other.device();
}

namespace {

constexpr std::int64_t copy_grain = std::int64_t{1} << 18;  // elements per range

// Axis `axis` of the block of elements that starts at `values`.
template <class T>
std::string axis_text(const T* values, const Shape& shape, int axis) {
  if (axis == shape.rank()) return text_of(+*values);  // as a number, not a character
  constexpr std::int64_t edge = 3;                     // elements shown at each end of a long axis
  const std::int64_t extent = shape[axis];
  const std::int64_t stride = shape.product(axis + 1, shape.rank());
  const bool innermost = axis + 1 == shape.rank();
  std::string text = "[";
  for (std::int64_t i = 0; i < extent; ++i) {
    if (i) text += innermost ? ", " : ",\n " + std::string(static_cast<std::size_t>(axis), ' ');
    if (extent > 2 * edge + 2 && i == edge) {
      text += "...";
      i = extent - edge - 1;
    } else {
      text += axis_text(values + i * stride, shape, axis + 1);
    }
  }
  return text + ']';
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  if (!tensor.defined()) return out << "(undefined)";
  const Tensor host = tensor.to(cpu);
  with_dtype(tensor.dtype(), [&]<class T>(T) { out << axis_text(host.data<T>(), tensor.shape(), 0); });
  return out << " " << name_of(tensor.dtype()) << tensor.shape();
}

namespace kernels {

void fill(Cpu, double value, Out out) {
  with_dtype(out.dtype(), [&]<class T>(T) {
    T* data = out.mutable_data<T>();
    parallel_for(out.numel(), copy_grain, [&](std::int64_t begin, std::int64_t end) {
      std::fill(data + begin, data + end, static_cast<T>(value));
    });
  });
}

void copy(Cpu, const Tensor& source, Out out) {
  const std::byte* from = source.data<std::byte>();
  std::byte* to = out.mutable_data<std::byte>();
  const auto size = static_cast<std::int64_t>(size_of(out.dtype()));
  parallel_for(out.numel(), copy_grain, [&](std::int64_t begin, std::int64_t end) {
    std::memmove(to + begin * size, from + begin * size, static_cast<std::size_t>((end - begin) * size));
  });
}

void convert(Cpu, const Tensor& source, Out out) {
  with_dtype(source.dtype(), [&]<class From>(From) {
    with_dtype(out.dtype(), [&]<class To>(To) {
      map(out.numel(), functions::NumberAs<To>{}, out.mutable_data<To>(), source.data<From>());
    });
  });
}

}  // namespace kernels

}  // namespace mixgrad
