// The matrix product behind every CUDA kernel that computes one (private: for .cu files).
//
//   out(m, n) = sum over k of a(m, k) b(n, k)
//
// The operands are functions of their indices, so that a convolution is a product whose `a` reads the patches from the
// image on the fly (an implicit GEMM). An operand is a trivially copyable struct with
//
//   static constexpr bool along_k;                    whether four neighbours in k lie side by side, or four in m (n)
//   __device__ Row row(int row) const;                what an element's row determines, computed once
//   __device__ float4 load(Row row, int k) const;     four elements from (row, k) on, in that direction; those outside
//                                                     of the operand are 0
//
// and an epilogue with __device__ void store(int m, int n, float4 values, int valid) const, for outputs (m, n) to
// (m, n + 3), of which the first `valid` exist.
//
// A block computes a tile of the output. It goes through k in steps of `depth`: while it multiplies one step's slices
// of a and b from shared memory, the next step's are loaded into registers. Each thread owns threadM x threadN outputs,
// in groups of four. Small tiles are for products with few columns, which are bound by latency: their steps are deep,
// and `shares` teams of threads each multiply a part of each step and add their sums at the end. k may also be split
// among blocks (split_k), whose sums the caller then adds in order. A sum over more of k than `long_sum` is split into
// parts, which are added in f64, in memory (core/sums.h).
#pragma once

#include <utility>

#include "core/gpu.cuh"

namespace mixgrad::gpu {

// Four adjacent elements, of which the first `valid` exist. `wide`: they are aligned to 16 bytes, and all or none
// exist.
__device__ inline float4 load4(bool wide, const float* from, int valid) {
  if (valid <= 0) return make_float4(0, 0, 0, 0);
  if (wide) return *reinterpret_cast<const float4*>(from);
  return make_float4(from[0], valid > 1 ? from[1] : 0, valid > 2 ? from[2] : 0, valid > 3 ? from[3] : 0);
}

// The same for writing.
__device__ inline void store4(bool wide, float* to, float4 values, int valid) {
  if (wide) {
    *reinterpret_cast<float4*>(to) = values;
    return;
  }
  to[0] = values.x;
  if (valid > 1) to[1] = values.y;
  if (valid > 2) to[2] = values.z;
  if (valid > 3) to[3] = values.w;
}

// Element (row, k) of a matrix in memory as [rows, depth], or with `transposed` as [depth, rows].
template <bool transposed>
struct MatrixOperand {
  static constexpr bool along_k = !transposed;
  const float* x;
  int rows, depth;
  std::int64_t pitch;  // from one row of memory to the next
  std::int64_t next;   // from one product of a batch to the next
  bool wide;

  __device__ MatrixOperand at(int batch) const { return {x + batch * next, rows, depth, pitch, next, wide}; }
  __device__ auto row(int row) const {
    if constexpr (transposed) return row;
    else return row < rows ? x + row * pitch : nullptr;
  }
  __device__ float4 load(int row, int k) const { return load4(wide, x + k * pitch + row, k < depth ? rows - row : 0); }
  __device__ float4 load(const float* row, int k) const {
    return row ? load4(wide, row + k, depth - k) : make_float4(0, 0, 0, 0);
  }
};

// Where a product of a batch goes: to its `width` columns of rows of `pitch` elements.
struct RowsOut {
  float* out;
  int pitch, width;
  bool wide;

  __device__ RowsOut at(int batch, int) const { return {out + batch * width, pitch, width, wide}; }
  __device__ void store(int m, int n, float4 values, int valid) const {
    store4(wide, out + std::int64_t{m} * pitch + n, values, valid);
  }
};

template <int tile_m, int tile_n, int thread_m, int thread_n, int step_depth = 16, int step_shares = 1>
struct Tile {
  static constexpr int m = tile_m, n = tile_n, per_thread_m = thread_m, per_thread_n = thread_n;
  static constexpr int depth = step_depth, shares = step_shares;
  static constexpr int threads_m = m / thread_m, threads_n = n / thread_n, team = threads_m * threads_n;
  static constexpr int threads = team * shares;
  static constexpr int steps_per_part = 256 * shares / depth;  // of a long sum: 256 products for each thread
  static_assert(thread_m % 4 == 0 && thread_n % 4 == 0 && team % warp_threads == 0 && depth % (4 * shares) == 0);
};

// One operand's slices: from global memory through registers to shared memory, there as [depth][rows].
template <class Tile, int rows, class Operand>
struct SliceLoader {
  static constexpr int loads = rows * Tile::depth / 4;  // of four elements each
  static constexpr int per_thread = (loads + Tile::threads - 1) / Tile::threads;
  static constexpr bool even = loads % Tile::threads == 0;  // every thread has the same number
  static constexpr int pitch = rows + 4;                    // of shared memory: avoids bank conflicts
  using Slice = float[Tile::depth * pitch];

  decltype(std::declval<Operand>().row(0)) row[per_thread];
  float4 registers[per_thread];

  // Row and depth within the slice of this thread's i-th load.
  __device__ static int row_of(int load) { return Operand::along_k ? load / (Tile::depth / 4) : load % (rows / 4) * 4; }
  __device__ static int depth_of(int load) {
    return Operand::along_k ? load % (Tile::depth / 4) * 4 : load / (rows / 4);
  }

  __device__ SliceLoader(const Operand& operand, int first_row) {
    UNROLL
    for (int i = 0; i < per_thread; ++i)
      row[i] = operand.row(first_row + row_of(static_cast<int>(threadIdx.x) + i * Tile::threads));
  }

  __device__ void fetch(const Operand& operand, int first_k, int end_k) {
    UNROLL
    for (int i = 0; i < per_thread; ++i) {
      const int load = static_cast<int>(threadIdx.x) + i * Tile::threads, k = first_k + depth_of(load);
      const bool needed = (even || load < loads) && k < end_k;
      registers[i] = needed ? operand.load(row[i], k) : make_float4(0, 0, 0, 0);
    }
  }

  __device__ void store(float* slice) const {
    UNROLL
    for (int i = 0; i < per_thread; ++i) {
      const int load = static_cast<int>(threadIdx.x) + i * Tile::threads;
      if (!even && load >= loads) break;
      float* to = slice + depth_of(load) * pitch + row_of(load);
      const float4& v = registers[i];
      if constexpr (Operand::along_k) {
        to[0] = v.x, to[pitch] = v.y, to[2 * pitch] = v.z, to[3 * pitch] = v.w;
      } else {
        *reinterpret_cast<float4*>(to) = v;
      }
    }
  }
};

// Which groups of four rows (columns) of the tile a thread owns: group g begins at (thread + g * threads) * 4.
template <int groups, int threads>
__device__ void read_fragment(const float* line, int thread, float (&fragment)[groups * 4]) {
  UNROLL
  for (int g = 0; g < groups; ++g) {
    const float4 v = *reinterpret_cast<const float4*>(line + (thread + g * threads) * 4);
    fragment[g * 4] = v.x, fragment[g * 4 + 1] = v.y, fragment[g * 4 + 2] = v.z, fragment[g * 4 + 3] = v.w;
  }
}

// Adds the sums of a block's teams, in their order, into those of the first.
template <class Tile>
__device__ void add_shares(int thread, int share, float (&sums)[Tile::per_thread_m][Tile::per_thread_n]) {
  using Partial = float[Tile::shares - 1][Tile::per_thread_m][Tile::per_thread_n][Tile::team];
  SHARED(Partial, partial);
  const auto each = [&](auto&& f) {
    UNROLL
    for (int i = 0; i < Tile::per_thread_m; ++i) UNROLL
    for (int j = 0; j < Tile::per_thread_n; ++j) f(i, j);
  };
  if (share > 0) each([&](int i, int j) { partial[share - 1][i][j][thread] = sums[i][j]; });
  __syncthreads();
  if (share > 0) return;
  for (int other = 0; other < Tile::shares - 1; ++other)
    each([&](int i, int j) { sums[i][j] += partial[other][i][j][thread]; });
}

// A thread's totals in f64, `Tile::threads` apart, += its sums, which restart at 0.
template <class Tile>
__device__ void add_part(bool first, double* totals, float (&sums)[Tile::per_thread_m][Tile::per_thread_n]) {
  UNROLL
  for (int i = 0; i < Tile::per_thread_m; ++i) UNROLL
  for (int j = 0; j < Tile::per_thread_n; ++j) {
    double& total = totals[(i * Tile::per_thread_n + j) * Tile::threads + static_cast<int>(threadIdx.x)];
    total = (first ? 0 : total) + static_cast<double>(sums[i][j]);
    sums[i][j] = 0;
  }
}

// Called by a whole block for the tile whose first output is (first_m, first_n), over k in [begin_k, end_k), begin_k a
// multiple of 4. Outputs from (end_m, end_n) on do not exist. totals: the block's, for a long sum, or null.
template <class Tile, class A, class B, class Epilogue>
__device__ void gemm_tile(const A& a, const B& b, const Epilogue& epilogue, int first_m, int end_m, int first_n,
                          int end_n, int begin_k, int end_k, double* totals) {
  using LoaderA = SliceLoader<Tile, Tile::m, A>;
  using LoaderB = SliceLoader<Tile, Tile::n, B>;
  struct alignas(16) Slices {
    typename LoaderA::Slice a[2];
    typename LoaderB::Slice b[2];
  };
  SHARED(Slices, slices);
  LoaderA load_a(a, first_m);
  LoaderB load_b(b, first_n);
  const int thread = static_cast<int>(threadIdx.x) % Tile::team, share = static_cast<int>(threadIdx.x) / Tile::team;
  const int thread_m = thread / Tile::threads_n, thread_n = thread % Tile::threads_n;
  float sums[Tile::per_thread_m][Tile::per_thread_n] = {};

  load_a.fetch(a, begin_k, end_k);
  load_b.fetch(b, begin_k, end_k);
  for (int k = begin_k, step = 0; k < end_k; k += Tile::depth, step = 1 - step) {
    // The slices of this parity were last read two steps ago, before the barrier of the step between.
    load_a.store(slices.a[step]);
    load_b.store(slices.b[step]);
    __syncthreads();
    if (k + Tile::depth < end_k) {
      load_a.fetch(a, k + Tile::depth, end_k);
      load_b.fetch(b, k + Tile::depth, end_k);
    }
    constexpr int depths = Tile::depth / Tile::shares;
    const float* const slice_a = slices.a[step] + share * depths * LoaderA::pitch;
    const float* const slice_b = slices.b[step] + share * depths * LoaderB::pitch;
    UNROLL
    for (int d = 0; d < depths; ++d) {
      float fragment_a[Tile::per_thread_m], fragment_b[Tile::per_thread_n];
      read_fragment<Tile::per_thread_m / 4, Tile::threads_m>(slice_a + d * LoaderA::pitch, thread_m, fragment_a);
      read_fragment<Tile::per_thread_n / 4, Tile::threads_n>(slice_b + d * LoaderB::pitch, thread_n, fragment_b);
      UNROLL
      for (int i = 0; i < Tile::per_thread_m; ++i) UNROLL
      for (int j = 0; j < Tile::per_thread_n; ++j) sums[i][j] += fragment_a[i] * fragment_b[j];
    }
    const int done = (k - begin_k) / Tile::depth + 1;
    if (totals && done % Tile::steps_per_part == 0) add_part<Tile>(done == Tile::steps_per_part, totals, sums);
  }
  if (totals && end_k - begin_k > Tile::depth * Tile::steps_per_part) {
    add_part<Tile>(false, totals, sums);
    UNROLL
    for (int i = 0; i < Tile::per_thread_m; ++i) UNROLL
    for (int j = 0; j < Tile::per_thread_n; ++j)
      sums[i][j] =
          static_cast<float>(totals[(i * Tile::per_thread_n + j) * Tile::threads + static_cast<int>(threadIdx.x)]);
  }
  if constexpr (Tile::shares > 1) add_shares<Tile>(thread, share, sums);
  if (share > 0) return;
  UNROLL
  for (int i = 0; i < Tile::per_thread_m; ++i) {
    const int m = first_m + (thread_m + i / 4 * Tile::threads_m) * 4 + i % 4;
    UNROLL
    for (int j = 0; j < Tile::per_thread_n; j += 4) {
      const int n = first_n + (thread_n + j / 4 * Tile::threads_n) * 4;
      if (m < end_m && n < end_n)
        epilogue.store(m, n, make_float4(sums[i][j], sums[i][j + 1], sums[i][j + 2], sums[i][j + 3]), end_n - n);
    }
  }
}

struct GemmShape {
  int m, n, k;
  int split_k = 1;  // blocks that share an output, each with a part of k
  int batch = 1;    // independent products, such as a convolution's groups
  int k_per_split = 0;
  double* totals = nullptr;  // of all blocks, for long sums
};

inline constexpr int long_sum = 4096;

// Operands and epilogue know which product of the batch they belong to by at(batch), an epilogue by at(batch, split).
// At least two blocks fit on a multiprocessor, so that one multiplies while the other waits.
template <class Tile, class A, class B, class Epilogue>
__global__ void __launch_bounds__(Tile::threads, 2) gemm_kernel(GemmShape s, A a, B b, Epilogue epilogue) {
  wait_for_previous_kernel();
  const int batch = static_cast<int>(blockIdx.z) / s.split_k, split = static_cast<int>(blockIdx.z) % s.split_k;
  const int begin_k = split * s.k_per_split;
  const int end_k = begin_k + s.k_per_split < s.k ? begin_k + s.k_per_split : s.k;
  const std::int64_t block = (std::int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  gemm_tile<Tile>(a.at(batch), b.at(batch), epilogue.at(batch, split), static_cast<int>(blockIdx.x) * Tile::m, s.m,
                  static_cast<int>(blockIdx.y) * Tile::n, s.n, begin_k, end_k,
                  s.totals ? s.totals + block * Tile::m * Tile::n * Tile::shares : nullptr);
}

template <class Tile, class A, class B, class Epilogue>
void launch_gemm(Cuda device, GemmShape s, const A& a, const B& b, const Epilogue& epilogue) {
  const int depths = (s.k + Tile::depth - 1) / Tile::depth;
  s.k_per_split = (depths + s.split_k - 1) / s.split_k * Tile::depth;
  const dim3 grid(blocks_for(s.m, Tile::m), blocks_for(s.n, Tile::n), static_cast<unsigned>(s.batch * s.split_k));
  Tensor totals;  // doubles, as pairs of floats
  if (s.k_per_split > long_sum) {
    const std::int64_t blocks = std::int64_t{grid.x} * grid.y * grid.z;
    totals = Tensor::empty({blocks * Tile::m * Tile::n * Tile::shares, 2}, {.device = cuda});
    s.totals = reinterpret_cast<double*>(write(totals));
  }
  launch(device, gemm_kernel<Tile, A, B, Epilogue>, grid, Tile::threads, 0, s, a, b, epilogue);
}

// Calls f with a tile that suits products with n columns.
template <class F>
auto with_tile(int n, F&& f) {
  if (n <= 16) return f(Tile<32, 16, 4, 4, 48, 4>{});
  if (n <= 32) return f(Tile<128, 32, 8, 4>{});
  if (n <= 64) return f(Tile<128, 64, 8, 4>{});
  return f(Tile<128, 128, 8, 8, 8>{});
}

// Computes the product with a tile that suits it.
template <class A, class B, class Epilogue>
void implicit_gemm(Cuda device, const GemmShape& s, const A& a, const B& b, const Epilogue& epilogue) {
  with_tile(s.n, [&](auto tile) { launch_gemm<decltype(tile)>(device, s, a, b, epilogue); });
}

}  // namespace mixgrad::gpu
