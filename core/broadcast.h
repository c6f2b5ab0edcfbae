// The loops of an operation whose operands broadcast (private: for the .cpp of such operations).
#pragma once

#include <algorithm>
#include <array>

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
    std::int64_t extent;
    std::array<std::int64_t, N> strides;  // 0: the operand does not advance
  };

  BroadcastLoops(const std::array<Shape, N>& operands, const Shape& out) {
    std::array<std::int64_t, N> sizes;
    sizes.fill(1);
    for (int axis = 1; axis <= out.rank(); ++axis) {
      const std::int64_t extent = out[-axis];
      if (extent == 1) continue;
      Loop loop{extent, {}};
      for (std::size_t i = 0; i < N; ++i)
        if (axis <= operands[i].rank() && operands[i][-axis] != 1) loop.strides[i] = sizes[i];
      if (count_ > 0 && move_alike(loops_[count_ - 1], loop)) loops_[count_ - 1].extent *= extent;
      else loops_[count_++] = loop;
      for (std::size_t i = 0; i < N; ++i)
        if (loop.strides[i]) sizes[i] *= extent;
    }
    if (count_ == 0) {
      loops_[count_].extent = 1;
      loops_[count_++].strides.fill(1);
    }
  }

  MIXGRAD_HOST_DEVICE const Loop& inner() const { return loops_[0]; }

  // The offsets of the operands of one element of the output.
  MIXGRAD_HOST_DEVICE std::array<std::int64_t, N> element(std::int64_t i) const {
    std::array<std::int64_t, N> result = offsets(i / inner().extent);
    for (std::size_t k = 0; k < N; ++k) result[k] += inner().strides[k] * (i % inner().extent);
    return result;
  }

 private:
  // The offsets at the start of the given run of the innermost loop.
  MIXGRAD_HOST_DEVICE std::array<std::int64_t, N> offsets(std::int64_t run) const {
    std::array<std::int64_t, N> result{};
    for (std::size_t l = 1; l < count_; ++l) {
      for (std::size_t i = 0; i < N; ++i) result[i] += run % loops_[l].extent * loops_[l].strides[i];
      run /= loops_[l].extent;
    }
    return result;
  }

  static bool move_alike(const Loop& a, const Loop& b) {
    for (std::size_t i = 0; i < N; ++i)
      if ((a.strides[i] == 0) != (b.strides[i] == 0)) return false;
    return true;
  }

  std::array<Loop, Shape::max_rank> loops_{};  // the innermost first
  std::size_t count_ = 0;
};

// Calls f(offsets, strides, first, n) in parallel for each stretch of n output elements from `first` on, along which
// operand i is read at offsets[i], offsets[i] + strides[i], ... with strides of 0 or 1.
template <std::size_t N, class F>
void for_each_stretch(const std::array<Shape, N>& operands, const Shape& out, F&& f) {
  const BroadcastLoops<N> loops(operands, out);
  const auto inner = loops.inner();
  parallel_for(out.numel(), pointwise_grain, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t at = begin % inner.extent, n = std::min(end - begin, inner.extent - at);
      f(loops.element(begin), inner.strides, begin, n);
      begin += n;
    }
  });
}

// out = f(a, b), broadcast to out's shape. Operands are of element type T, the output of Out.
template <class T, class Out, class F>
void binary_loop(const Tensor& a, const Tensor& b, const Tensor& out, F f) {
  const T* pa = a.data<T>();
  const T* pb = b.data<T>();
  Out* po = out.mutable_data<Out>();
  for_each_stretch<2>({a.shape(), b.shape()}, out.shape(),
                      [=](const auto& offsets, const auto& strides, std::int64_t first, std::int64_t n) {
                        const T* x = pa + offsets[0];
                        const T* y = pb + offsets[1];
                        Out* z = po + first;
                        // Each operand is an array or a constant: three loops that vectorise.
                        if (strides[0] && strides[1])
                          for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], y[i]);
                        else if (strides[0])
                          for (std::int64_t i = 0; i < n; ++i) z[i] = f(x[i], *y);
                        else
                          for (std::int64_t i = 0; i < n; ++i) z[i] = f(*x, y[i]);
                      });
}

}  // namespace mixgrad
