// Tensor: a handle to a dense, row-major array on one device and, if it requires a gradient, to its node on the tape.
// Copying a Tensor copies the handle; clone() copies the data. There are no strides: views exist only as reshape and as
// a slice of the leading axis (core/view.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/device.h"
#include "core/dtype.h"
#include "core/scope.h"
#include "core/shape.h"

namespace mixgrad {

class Node;  // core/autograd.h

struct TensorOptions {
  DType dtype = DType::f32;
  Device device = cpu;
};

// A block of memory shared by every tensor that views it. The version counts the writes to it, so that backward detects
// when a value it needs has been overwritten.
class Storage : NonCopyable {
 public:
  Storage(Device device, std::size_t bytes);
  ~Storage();

  std::byte* bytes() const { return memory_; }
  std::uint64_t version() const { return version_; }
  void bump_version() { ++version_; }

 private:
  Device device_;
  std::size_t size_;
  std::byte* memory_;
  std::uint64_t version_ = 0;
};

class Tensor {
 public:
  Tensor() = default;  // undefined: holds nothing

  // Creation. All throw on shapes too large to exist; empty leaves the elements uninitialised.
  static Tensor empty(const Shape& shape, TensorOptions options = {});
  static Tensor zeros(const Shape& shape, TensorOptions options = {});
  static Tensor ones(const Shape& shape, TensorOptions options = {});
  static Tensor full(const Shape& shape, double value, TensorOptions options = {});
  // The values in row-major order, on the CPU; throws unless there are shape.numel() of them.
  template <class T>
  static Tensor from(std::span<const T> values, const Shape& shape) {
    check(std::ssize(values) == shape.numel(), "tensor: ", values.size(), " values do not fill ", shape);
    Tensor result = empty(shape, {.dtype = dtype_of<T>()});
    std::copy(values.begin(), values.end(), result.mutable_data<T>());
    return result;
  }
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return from(std::span<const T>(values), shape);
  }
  template <class T = float>
  static Tensor from(std::initializer_list<T> values, const Shape& shape) {
    return from(std::span<const T>(values.begin(), values.size()), shape);
  }

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const { return defined(); }

  const Shape& shape() const { return impl().shape; }
  std::int64_t size(int axis) const { return shape()[axis]; }
  int rank() const { return shape().rank(); }
  std::int64_t numel() const { return shape().numel(); }
  DType dtype() const { return impl().options.dtype; }
  Device device() const { return impl().options.device; }
  TensorOptions options() const { return impl().options; }
  std::size_t num_bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype()); }

  // The elements. Throws when T is neither the tensor's dtype nor std::byte, or the tensor is not on that device, of
  // which kernels alone read the memory of a GPU. mutable_data counts as a write: backward of any operation that saved
  // this tensor will refuse to run.
  template <class T>
  const T* data(Device where = cpu) const {
    if constexpr (!std::is_same_v<T, std::byte>) check_dtype(dtype_of<T>());
    return reinterpret_cast<const T*>(memory(where));
  }
  template <class T>
  T* mutable_data(Device where = cpu) const {
    impl().storage->bump_version();
    return const_cast<T*>(data<T>(where));
  }
  template <class T>
  std::vector<T> to_vector() const {  // a copy on the host
    const Tensor host = to(cpu);
    return {host.data<T>(), host.data<T>() + numel()};
  }
  double item() const;  // the only element; throws unless numel() is 1

  Tensor clone() const;            // a copy of the data, outside any gradient
  Tensor detach() const;           // the same data, outside any gradient
  Tensor to(Device device) const;  // itself when already there; differentiable
  // Itself when already of that dtype; differentiable between f32 and f64. To an integer: truncated, then clamped (NaN
  // becomes the minimum).
  Tensor to(DType dtype) const;

  // In place, never recorded; throws on a tensor that requires a gradient while recording is on.
  void fill_(double value) const;
  void copy_(const Tensor& source) const;  // same shape and dtype, from any device

  // Gradients (core/autograd.h).
  bool requires_grad() const { return impl().node != nullptr; }
  const Tensor& requires_grad_(bool on = true) const;  // makes it a leaf; f32 and f64 only
  Tensor grad() const;                                 // undefined until backward has reached this leaf
  void backward() const;                               // of a scalar: fills grad() of every leaf it depends on
  const std::shared_ptr<Node>& node() const { return impl().node; }

  // For code that manages memory itself (core/view.h, flat parameters): the storage; a tensor that views it from an
  // element on; rebinding every handle of this tensor to the memory of another of the same shape.
  const std::shared_ptr<Storage>& storage() const { return impl().storage; }
  Tensor raw_view(const Shape& shape, std::int64_t first_element) const;
  void rebind_(const Tensor& other) const;
  void set_node(std::shared_ptr<Node> node) const { impl().node = std::move(node); }
  bool is(const Tensor& other) const { return impl_ == other.impl_; }  // two handles of one tensor
  bool is_only_handle() const { return impl_.use_count() == 1 && storage().use_count() == 1; }  // to its memory

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    std::size_t offset = 0;  // in bytes
    Shape shape;
    TensorOptions options;
    std::shared_ptr<Node> node;  // null: requires no gradient
  };
  Impl& impl() const {
    check(impl_ != nullptr, "tensor: used while undefined");
    return *impl_;
  }
  void check_dtype(DType expected) const;
  std::byte* memory(Device where) const;
  void check_writable(const char* op) const;

  std::shared_ptr<Impl> impl_;
};

// Elements in nested brackets, long axes abbreviated, then shape and dtype.
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

namespace kernels {
using Out = const Tensor&;  // an argument that a kernel writes: a handle to memory that is there
MIXGRAD_KERNEL(fill, double value, Out out);
MIXGRAD_KERNEL(copy, const Tensor& source, Out out);     // same device and dtype, bytes as they are
MIXGRAD_KERNEL(convert, const Tensor& source, Out out);  // element by element between dtypes
}  // namespace kernels

// A tensor and its name: a parameter of a model, an entry of a file.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

}  // namespace mixgrad
