// The loops of an operation whose operands broadcast (private: for the .cpp of such operations).
#pragma once

#include <algorithm>
#include <array>
#include <utility>

#include "core/host_device.h"
#include "core/parallel.h"
#include "core/simd.h"
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

namespace host {

// out[i] = f(in[i]...) for i < n.
template <class F, class Out, class... In>
void map(std::int64_t n, F f, Out* out, const In*... in) {
  // Everything by value: else bytes that are written might be what is read, and the loop would not vectorise.
  const auto loop = [](std::int64_t count, F f, Out* out, const In*... in) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = f(in[i]...);
  };
  parallel_for(n, pointwise_grain,
               [=](std::int64_t begin, std::int64_t end) { loop(end - begin, f, out + begin, (in + begin)...); });
}

// The same for a function of vectors: the last few elements go through it as well, so that an element's result does not
// depend on its place.
template <class F, class... In>
void map_vectors(std::int64_t n, F f, float* out, const In*... in) {
  parallel_for(n, pointwise_grain, [=](std::int64_t begin, std::int64_t end) {
    std::int64_t i = begin;
    for (; i + lanes <= end; i += lanes) store(out + i, f(load(in + i)...));
    if (i < end) store(out + i, f(load(in + i, end - i)...), end - i);
  });
}

// A stretch of an operand: an array, or one element for all.
template <class T>
struct Stretch {
  const T* first;
  bool advances;
};

// Calls f with a function of i for each stretch, which gives its element i: of a type for each combination of arrays
// and constants, so that loops vectorise.
template <class F, class T, class... Rest>
void with_elements(F f, Stretch<T> stretch, Stretch<Rest>... rest) {
  const auto with = [&](auto element) {
    if constexpr (sizeof...(Rest) == 0) f(element);
    else with_elements([&](auto... others) { f(element, others...); }, rest...);
  };
  if (stretch.advances) with([first = stretch.first](std::int64_t i) { return first[i]; });
  else with([value = *stretch.first](std::int64_t) { return value; });
}

template <std::size_t... k, class F, class Out, class... In>
void map_stretches(std::index_sequence<k...>, const BroadcastLoops<sizeof...(In)>& loops, std::int64_t size, F f,
                   Out* out, const In*... in) {
  parallel_for(size, pointwise_grain, [=, inner = loops.inner(), &loops](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t n = std::min(end - begin, inner.extent - begin % inner.extent);
      const auto offsets = loops.element(begin);
      const auto loop = [f, n, to = out + begin](auto... element) {
        for (std::int64_t i = 0; i < n; ++i) to[i] = f(element(i)...);
      };
      with_elements(loop, Stretch<In>{in + offsets[k], inner.strides[k] != 0}...);
      begin += n;
    }
  });
}

// out = f(operands...), broadcast to out's shape; operand k has elements of type In[k], out of type Out.
template <class Out, class... In, class F>
void map_broadcast(F f, const Tensor& out, const std::array<Tensor, sizeof...(In)>& operands) {
  [&]<std::size_t... k>(std::index_sequence<k...> all) {
    map_stretches(all, BroadcastLoops<sizeof...(In)>({operands[k].shape()...}, out.shape()), out.numel(), f,
                  out.mutable_data<Out>(), operands[k].template data<In>()...);
  }
  (std::index_sequence_for<In...>{});
}

}  // namespace host

}  // namespace mixgrad
