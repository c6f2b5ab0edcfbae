// The loops of an operation whose operands broadcast (private: for the .cpp of such operations).
#pragma once

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>
#include <variant>

#include "core/host_device.h"
#include "core/parallel.h"
#include "core/tensor.h"

namespace mixgrad {

inline constexpr std::int64_t pointwise_grain = std::int64_t{1} << 15;  // elements per range

// The shape of a binary operation's output; throws unless the operands share device and dtype and broadcast.
inline Shape broadcast(const char* op, const Tensor& a, const Tensor& b) {
  check_same_device(op, a.device(), b.device());
  check(a.dtype() == b.dtype(), op, ": operands are ", name_of(a.dtype()), a.shape(), " and ", name_of(b.dtype()),
        b.shape());
  return broadcast(op, a.shape(), b.shape());
}

// N broadcast operands as loops: neighbouring axes along which each operand either advances or stays are one loop.
// So equal shapes, and a scalar, become a single loop; a row or a column becomes two.
template <std::size_t N>
class BroadcastLoops {
 public:
  struct Loop {
    std::int64_t extent = 1;
    std::array<std::int64_t, N> strides{};  // 0: the operand does not advance
  };

  BroadcastLoops(const std::array<Shape, N>& operands, const Shape& out) {
    std::array<std::int64_t, N> sizes;
    sizes.fill(1);
    for (int axis = 1; axis <= out.rank(); ++axis) {
      Loop loop{.extent = out[-axis]};
      if (loop.extent == 1) continue;
      for (std::size_t k = 0; k < N; ++k)
        if (axis <= operands[k].rank() && operands[k][-axis] != 1) loop.strides[k] = sizes[k];
      if (count_ > 0 && move_alike(loops_[count_ - 1], loop)) loops_[count_ - 1].extent *= loop.extent;
      else loops_[count_++] = loop;
      for (std::size_t k = 0; k < N; ++k)
        if (loop.strides[k]) sizes[k] *= loop.extent;
    }
  }

  MIXGRAD_HOST_DEVICE const Loop& inner() const { return loops_[0]; }

  // The offsets of the operands of one element of the output.
  MIXGRAD_HOST_DEVICE std::array<std::int64_t, N> element(std::int64_t i) const {
    std::array<std::int64_t, N> result{};
    for (std::size_t l = 0; l < count_; ++l) {
      for (std::size_t k = 0; k < N; ++k) result[k] += i % loops_[l].extent * loops_[l].strides[k];
      i /= loops_[l].extent;
    }
    return result;
  }

 private:
  static bool move_alike(const Loop& a, const Loop& b) {
    for (std::size_t k = 0; k < N; ++k)
      if ((a.strides[k] == 0) != (b.strides[k] == 0)) return false;
    return true;
  }

  std::array<Loop, Shape::max_rank> loops_{};  // the innermost first
  std::size_t count_ = 0;
};

namespace host {

// A stretch of an operand, as a function that gives its element i: an array, or one element for all.
template <class T>
struct Array {
  const T* first;
  T operator()(std::int64_t i) const { return first[i]; }
};
template <class T>
struct Constant {
  T value;
  T operator()(std::int64_t) const { return value; }
};
template <class T>
std::variant<Array<T>, Constant<T>> stretch(const T* first, bool advances) {
  if (advances) return Array<T>{first};
  return Constant<T>{*first};
}

// out[i] = f(in(i)...) for i < n. Everything by value: else bytes that are written might be what is read, and the loop
// would not vectorise.
template <class F, class Out, class... In>
void map_stretch(std::int64_t n, F f, Out* out, In... in) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = f(in(i)...);
}

// out[i] = f(in[i]...) for i < n.
template <class F, class Out, class... In>
void map(std::int64_t n, F f, Out* out, const In*... in) {
  parallel_for(n, pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
    map_stretch(end - begin, f, out + begin, Array<In>{in + begin}...);
  });
}

// out = f(operands...), broadcast to out's shape; operand k has elements of type In[k], out of type Out.
template <class Out, class... In, class F>
void map_broadcast(F f, const Tensor& out, const std::array<Tensor, sizeof...(In)>& operands) {
  [&]<std::size_t... k>(std::index_sequence<k...>) {
    const BroadcastLoops<sizeof...(In)> loops({operands[k].shape()...}, out.shape());
    const std::tuple<const In*...> in{operands[k].template data<In>()...};
    const auto fill = [=, &loops, inner = loops.inner(), to = out.mutable_data<Out>()](std::int64_t begin,
                                                                                       std::int64_t end) {
      while (begin < end) {
        const std::int64_t n = std::min(end - begin, inner.extent - begin % inner.extent);
        const auto offsets = loops.element(begin);
        // A loop for each combination of arrays and constants, so that each vectorises.
        const auto loop = [f, n, out = to + begin](auto... in) { map_stretch(n, f, out, in...); };
        std::visit(loop, stretch(std::get<k>(in) + offsets[k], inner.strides[k] != 0)...);
        begin += n;
      }
    };
    parallel_for(out.numel(), pointwise_grain, fill);
  }
  (std::index_sequence_for<In...>{});
}

}  // namespace host

}  // namespace mixgrad
