// Sums over the rows of a matrix, for each column (private: for .cu files): the reduction behind sum and mean, batch
// norm's statistics and the gradient of a bias.
#pragma once

#include <algorithm>
#include <bit>

#include "core/gpu.cuh"

namespace mixgrad {

template <int k>
struct Sums {
  float value[k];
};

// Where the sums of one block go, and over what: [rows, columns] is cut into slabs of rows and strips of columns.
struct ColumnSumsShape {
  std::int64_t rows, columns;
  std::int64_t slab, slabs;  // rows that one block adds up, and how many such
  int strip, lanes;          // columns of a block; threads that share a column
  int half;                  // the least power of two that is lanes / 2 or more, 0 for one lane
  float divisor;
};

// out[outer, slab, j, column] = sum over the slab's rows of term(i, column).value[j] / divisor, where i counts the
// elements of [outer, rows, columns]. Neighbouring threads read neighbouring columns; the threads of a column add up as
// a tree, always in the same order.
template <int k, class Term, class Out>
__global__ void column_sums_kernel(ColumnSumsShape s, Term term, Out out) {
  wait_for_previous_kernel();
  using Partial = float[block_threads];
  SHARED(Partial, partial);
  const int thread = static_cast<int>(threadIdx.x), lane = thread / s.strip;
  const std::int64_t column = std::int64_t{blockIdx.y} * s.strip + thread % s.strip;
  const std::int64_t outer = blockIdx.x / s.slabs, slab = blockIdx.x % s.slabs;
  const std::int64_t end = (slab + 1) * s.slab < s.rows ? (slab + 1) * s.slab : s.rows;

  Sums<k> sums{};
  if (column < s.columns)
    for (std::int64_t row = slab * s.slab + lane; row < end; row += s.lanes) {
      const Sums<k> terms = term((outer * s.rows + row) * s.columns + column, column);
      for (int j = 0; j < k; ++j) sums.value[j] += terms.value[j];
    }
  for (int j = 0; j < k; ++j) {
    __syncthreads();  // the sums before this one have been read
    partial[thread] = sums.value[j];
    for (int half = s.half; half > 0; half /= 2) {
      __syncthreads();
      if (lane < half && lane + half < s.lanes) partial[thread] += partial[thread + half * s.strip];
    }
    if (lane == 0 && column < s.columns)
      out[(std::int64_t{blockIdx.x} * k + j) * s.columns + column] = partial[thread] / s.divisor;
  }
}

struct Element {  // the term of a plain sum
  const float* x;
  __device__ Sums<1> operator()(std::int64_t i, std::int64_t) const { return {x[i]}; }
};

// Two arrays in a row: element i of the first, or, behind its end, of the second.
struct TwoArrays {
  float* first;
  std::int64_t size;  // of the first
  float* second;
  __device__ float& operator[](std::int64_t i) const { return i < size ? first[i] : second[i - size]; }
};

// out[o, j, c] = sum over rows of term((o * rows + row) * columns + c, c).value[j] / divisor. term is called on the
// device; k is how many sums it gives. A launch for up to 500 rows, two for more, three for very many.
template <int k, class Term, class Out>
void column_sums(Cuda device, std::int64_t outer, std::int64_t rows, std::int64_t columns, Term term, Out out,
                 double divisor = 1) {
  // Where blocks would be few, narrower strips give each column more threads, down to 8 columns, which memory hands out
  // together.
  constexpr std::int64_t rows_per_lane = 32, few_per_lane = 8, narrowest = 8, enough_blocks = 256, most_slabs = 1024;
  std::int64_t strip = std::clamp<std::int64_t>(columns, 1, block_threads);
  while (strip / 2 >= narrowest && columns / strip < enough_blocks &&
         rows <= rows_per_lane * block_threads / narrowest && rows > few_per_lane * (block_threads / strip))
    strip /= 2;
  const std::int64_t lanes = std::clamp<std::int64_t>(rows, 1, block_threads / strip);
  const std::int64_t least = lanes * rows_per_lane, slab = std::max(least, (rows + most_slabs - 1) / most_slabs);
  const std::int64_t slabs = std::max<std::int64_t>((rows + slab - 1) / slab, 1);
  const dim3 grid(static_cast<unsigned>(outer * slabs), blocks_for(columns, strip));
  const auto sum_slabs = [&](double divisor, auto to) {
    launch(device, column_sums_kernel<k, Term, decltype(to)>, grid, static_cast<unsigned>(strip * lanes), 0,
           ColumnSumsShape{.rows = rows,
                           .columns = columns,
                           .slab = slab,
                           .slabs = slabs,
                           .strip = static_cast<int>(strip),
                           .lanes = static_cast<int>(lanes),
                           .half = static_cast<int>(std::bit_ceil(static_cast<unsigned>(lanes)) / 2),
                           .divisor = static_cast<float>(divisor)},
           term, to);
  };
  if (slabs == 1) return sum_slabs(divisor, out);
  const Tensor partial = Tensor::empty({outer, slabs, k * columns}, {.device = cuda});
  sum_slabs(1, write(partial));
  column_sums<1>(device, outer, slabs, k * columns, Element{read(partial)}, out, divisor);
}

}  // namespace mixgrad
