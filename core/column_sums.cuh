// Reductions over the rows of a matrix, for each column (private: for .cu files): the sums behind sum and mean, the
// gradient of a bias and batch norm's, and the moments of batch norm.
//
// A reduction is a struct with `size` results, read by value(j), which is empty when zero-initialised, and has
//
//   __device__ void add(const Term (&block)[sum_block]);   a block, which may be added in f32 (core/sums.h)
//   __device__ void add(const Term& term);                 one
//   __device__ void merge(const Reduction& other);
//
// for the terms of its rows, and for Terms<float, size>: the results of a slab of rows.
#pragma once

#include <algorithm>
#include <bit>

#include "core/gpu.cuh"
#include "core/sums.h"

namespace mixgrad::gpu {

template <int k>
struct Sums {
  static constexpr int size = k;
  using Term = Terms<float, k>;
  double total[k];

  __device__ void add(const Term (&block)[sum_block]) {
    static_assert(sum_block == 8);
    add(((block[0] + block[1]) + (block[2] + block[3])) + ((block[4] + block[5]) + (block[6] + block[7])));
  }
  __device__ void add(const Term& term) {
    for (int j = 0; j < k; ++j) total[j] += static_cast<double>(term.value[j]);
  }
  __device__ void merge(const Sums& other) {
    for (int j = 0; j < k; ++j) total[j] += other.total[j];
  }
  __device__ double value(int j) const { return total[j]; }
};

// What one block reduces, and where its results go: [rows, columns] is cut into slabs of rows and strips of columns.
struct ColumnsShape {
  std::int64_t rows, columns;
  std::int64_t slab, slabs;  // rows of a block; number of slabs
  int strip, lanes;          // columns of a block; threads that share a column
  int half;                  // the smallest power of two >= lanes / 2, 0 for one lane
  double divisor;
};

// out[outer, slab, j, column] = result j of the slab's rows of term(i, column) / divisor, where i counts the elements
// of [outer, rows, columns]. Neighbouring threads read neighbouring columns; the threads of a column merge as a tree,
// always in the same order.
template <class Reduction, class Term, class Out>
__global__ void reduce_columns_kernel(ColumnsShape s, Term term, Out out) {
  wait_for_previous_kernel();
  using Partials = Reduction[block_threads];
  SHARED(Partials, partial);
  const int thread = static_cast<int>(threadIdx.x), lane = thread / s.strip;
  const std::int64_t column = std::int64_t{blockIdx.y} * s.strip + thread % s.strip;
  const std::int64_t outer = blockIdx.x / s.slabs, slab = blockIdx.x % s.slabs;
  const std::int64_t end = (slab + 1) * s.slab < s.rows ? (slab + 1) * s.slab : s.rows;

  Reduction mine{};
  if (column < s.columns) {
    const auto of = [&](std::int64_t row) { return term((outer * s.rows + row) * s.columns + column, column); };
    std::int64_t row = slab * s.slab + lane;
    for (; row + (sum_block - 1) * s.lanes < end; row += sum_block * s.lanes) {
      decltype(of(row)) block[sum_block];
      UNROLL
      for (int i = 0; i < sum_block; ++i) block[i] = of(row + i * s.lanes);
      mine.add(block);
    }
    for (; row < end; row += s.lanes) mine.add(of(row));
  }
  partial[thread] = mine;
  for (int half = s.half; half > 0; half /= 2) {
    __syncthreads();
    if (lane < half && lane + half < s.lanes) partial[thread].merge(partial[thread + half * s.strip]);
  }
  if (lane == 0 && column < s.columns)
    for (int j = 0; j < Reduction::size; ++j)
      out[(std::int64_t{blockIdx.x} * Reduction::size + j) * s.columns + column] =
          static_cast<float>(partial[thread].value(j) / s.divisor);
}

struct Element {  // the term of a plain sum
  const float* x;
  __device__ Terms<float, 1> operator()(std::int64_t i, std::int64_t) const { return {{x[i]}}; }
};

template <int k>
struct SlabResults {  // the term that a slab is
  const float* x;     // [outer, slabs, k, columns]
  std::int64_t columns;
  __device__ Terms<float, k> operator()(std::int64_t i, std::int64_t column) const {
    Terms<float, k> terms;
    for (int j = 0; j < k; ++j) terms.value[j] = x[(i / columns * k + j) * columns + column];
    return terms;
  }
};

// Two arrays one after the other: element i of the first, or, past its end, of the second.
struct TwoArrays {
  float* first;
  std::int64_t size;  // of the first
  float* second;
  __device__ float& operator[](std::int64_t i) const { return i < size ? first[i] : second[i - size]; }
};

// out[o, j, c] = result j over rows of term((o * rows + row) * columns + c, c), divided by the divisor. term is called
// on the device. A launch for up to 500 rows, two for more, three for very many.
template <class Reduction, class Term, class Out>
void reduce_columns(Cuda device, std::int64_t outer, std::int64_t rows, std::int64_t columns, Term term, Out out,
                    double divisor = 1) {
  // Where there would be few blocks, narrower strips give each column more threads, down to 8 columns: one memory
  // transaction.
  constexpr std::int64_t rows_per_lane = 32, few_per_lane = 8, narrowest = 8, enough_blocks = 256, most_slabs = 1024;
  std::int64_t strip = std::clamp<std::int64_t>(columns, 1, block_threads);
  while (strip / 2 >= narrowest && columns / strip < enough_blocks &&
         rows <= rows_per_lane * block_threads / narrowest && rows > few_per_lane * (block_threads / strip))
    strip /= 2;
  const std::int64_t lanes = std::clamp<std::int64_t>(rows, 1, block_threads / strip);
  const std::int64_t least = lanes * rows_per_lane, slab = std::max(least, (rows + most_slabs - 1) / most_slabs);
  const std::int64_t slabs = std::max<std::int64_t>((rows + slab - 1) / slab, 1);
  const dim3 grid(static_cast<unsigned>(outer * slabs), blocks_for(columns, strip));
  const auto reduce_slabs = [&](double divisor, auto to) {
    launch(device, reduce_columns_kernel<Reduction, Term, decltype(to)>, grid, static_cast<unsigned>(strip * lanes), 0,
           ColumnsShape{.rows = rows,
                        .columns = columns,
                        .slab = slab,
                        .slabs = slabs,
                        .strip = static_cast<int>(strip),
                        .lanes = static_cast<int>(lanes),
                        .half = static_cast<int>(std::bit_ceil(static_cast<unsigned>(lanes)) / 2),
                        .divisor = divisor},
           term, to);
  };
  if (slabs == 1) return reduce_slabs(divisor, out);
  const Tensor partial = Tensor::empty({outer, slabs, Reduction::size * columns}, {.device = cuda});
  reduce_slabs(1, write(partial));
  reduce_columns<Reduction>(device, outer, slabs, columns, SlabResults<Reduction::size>{read(partial), columns}, out,
                            divisor);
}

// out[o, j, c] = sum over rows of term(...).value[j] / divisor, for j < k.
template <int k, class Term, class Out>
void column_sums(Cuda device, std::int64_t outer, std::int64_t rows, std::int64_t columns, Term term, Out out,
                 double divisor = 1) {
  reduce_columns<Sums<k>>(device, outer, rows, columns, term, out, divisor);
}

}  // namespace mixgrad::gpu
