#include "core/layout.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "core/autograd.h"
#include "core/parallel.h"
#include "core/simd.h"

namespace mixgrad {

Tensor transpose(const Tensor& x, int axis_a, int axis_b) {
  const auto [m, n] = std::minmax({x.shape().axis(axis_a, "transpose"), x.shape().axis(axis_b, "transpose")});
  const Shape& shape = x.shape();
  Tensor out = Tensor::empty(shape.with(m, shape[n]).with(n, shape[m]), x.options());
  if (m == n) {
    out.copy_(x.detach());
  } else {
    const std::int64_t before = shape.product(0, m), between = shape.product(m + 1, n);
    const std::int64_t after = shape.product(n + 1, x.rank());
    dispatch("transpose", x.device(), [&, m = m, n = n](auto device) {
      kernels::transpose(device, x.raw_view({before, shape[m], between, shape[n], after}, 0),
                         out.raw_view({before, shape[n], between, shape[m], after}, 0));
    });
  }
  record(out, "transpose", {x},
         [m = m, n = n](const Tensor& grad, Gradients& to) { to.add(0, transpose(grad, m, n)); });
  return out;
}

Tensor concat(std::span<const Tensor> tensors, int axis) {
  check(!tensors.empty(), "concat: no tensors");
  const Tensor& first = tensors.front();
  axis = first.shape().axis(axis, "concat");
  Shape shape = first.shape().with(axis, 0);
  for (const Tensor& x : tensors) {
    check_same_device("concat", first.device(), x.device());
    check(x.dtype() == first.dtype() && x.rank() == first.rank() && x.shape().with(axis, 0) == shape.with(axis, 0),
          "concat: ", name_of(first.dtype()), first.shape(), " and ", name_of(x.dtype()), x.shape(),
          " differ beyond axis ", axis);
    shape = shape.with(axis, shape[axis] + x.size(axis));
  }
  Tensor out = Tensor::empty(shape, first.options());
  // As matrices [outer, inner] the tensors are columns side by side.
  const std::int64_t outer = first.shape().product(0, axis);
  const auto matrix = [outer](const Tensor& x) { return x.raw_view({outer, outer ? x.numel() / outer : 0}, 0); };
  std::int64_t at = 0;
  for (const Tensor& x : tensors) {
    const Tensor columns = matrix(x);
    dispatch("copy_columns", out.device(),
             [&](auto device) { kernels::copy_columns(device, columns, 0, columns.size(1), at, matrix(out)); });
    at += columns.size(1);
  }
  std::vector<Shape> shapes;
  for (const Tensor& x : tensors) shapes.push_back(x.shape());
  record(out, "concat", tensors, [shapes, matrix](const Tensor& grad, Gradients& to) {
    std::int64_t at = 0;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      Tensor dx = Tensor::empty(shapes[i], grad.options());
      const std::int64_t columns = matrix(dx).size(1);
      dispatch("copy_columns", grad.device(),
               [&](auto device) { kernels::copy_columns(device, matrix(grad), at, columns, 0, matrix(dx)); });
      at += columns;
      to.add(static_cast<int>(i), std::move(dx));
    }
  });
  return out;
}

namespace kernels {
namespace {
constexpr std::int64_t layout_grain = std::int64_t{1} << 15;  // elements per range
constexpr std::int64_t strip = 16;                            // columns, of the length of a cache line

// to[j * to_row + i] = from[i * from_row + j] for i < rows and j < columns <= strip. Whole squares of floats go through
// registers.
template <class T>
void transpose_strip(std::int64_t rows, std::int64_t columns, const T* from, std::int64_t from_row, T* to,
                     std::int64_t to_row) {
  std::int64_t done = 0;
  if constexpr (std::is_same_v<T, float>)
    if (columns == strip)
      for (; done + lanes <= rows; done += lanes)
        for (std::int64_t j = 0; j < strip; j += lanes) {
          Vector square[lanes];
          for (int i = 0; i < lanes; ++i) square[i] = load(from + (done + i) * from_row + j);
          transpose_square(square);
          for (int i = 0; i < lanes; ++i) store(to + (j + i) * to_row + done, square[i]);
        }
  for (std::int64_t i = done; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j) to[j * to_row + i] = from[i * from_row + j];
}

}  // namespace

void transpose(Cpu, const Tensor& x, Out out) {
  with_dtype(x.dtype(), [&]<class T>(T) {
    const std::int64_t m = x.size(1), b = x.size(2), n = x.size(3), c = x.size(4);
    const T* px = x.data<T>();
    T* po = out.mutable_data<T>();
    if (c == 1) {  // matrices [m, n], with rows b * n and columns b * m apart
      const std::int64_t strips = num_ranges(n, strip);
      return parallel_for(x.size(0) * b * strips, rows_per_range(m * strip, layout_grain),
                          [=](std::int64_t begin, std::int64_t end) {
                            for (std::int64_t i = begin; i < end; ++i) {
                              const std::int64_t ab = i / strips, first = i % strips * strip;
                              const std::int64_t a = ab / b, ib = ab % b;
                              transpose_strip(m, std::min(strip, n - first), px + (a * m * b + ib) * n + first, b * n,
                                              po + ((a * n + first) * b + ib) * m, b * m);
                            }
                          });
    }
    // A row of the output is [m, c] for one (a, n, b).
    const std::int64_t row = std::max<std::int64_t>(m * c, 1);
    parallel_for(out.numel() / row, rows_per_range(row, layout_grain), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T* from = px + ((i / (n * b) * m * b + i % b) * n + i / b % n) * c;
        for (std::int64_t j = 0; j < m; ++j) std::copy_n(from + j * b * n * c, c, po + i * m * c + j * c);
      }
    });
  });
}

void copy_columns(Cpu, const Tensor& from, std::int64_t from_first, std::int64_t count, std::int64_t to_first, Out to) {
  with_dtype(from.dtype(), [&]<class T>(T) {
    const T* pf = from.data<T>() + from_first;
    T* pt = to.mutable_data<T>() + to_first;
    parallel_for(from.size(0), rows_per_range(count, layout_grain),
                 [=, from_row = from.size(1), to_row = to.size(1)](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t i = begin; i < end; ++i) std::copy_n(pf + i * from_row, count, pt + i * to_row);
                 });
  });
}

}  // namespace kernels
}  // namespace mixgrad
