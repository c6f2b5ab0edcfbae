// Convolution as three implicit products (core/gemm.cuh), with u, v the place in the kernel and p a position of the
// output:
//
//   forward          y(p, o) = sum over (u, v, c) of patches(p, (u, v, c)) w(o, (u, v, c))
//   input gradient   dx(q, c) = sum over (u, v, o) of dy(p, o) w(o, (u, v, c)), p the position with q under (u, v)
//   weight gradient  dw(o, (u, v, c)) = sum over p of dy(p, o) patches(p, (u, v, c)), split among blocks
//
// Groups are a batch of such products. A bias is the weight of one more number of each patch, which is always 1; so its
// gradient is one more row of the last product, where the last tile has room for it.
#include <algorithm>

#include "core/column_sums.cuh"
#include "core/elementwise.h"
#include "core/gemm.cuh"
#include "nn/conv2d.h"

namespace mixgrad::kernels {
namespace {

// Four neighbouring channels can be read at once when a group has a multiple of four of them.
bool is_wide(std::int64_t group_channels, const float* x) { return group_channels % 4 == 0 && is_aligned(x, 4); }

// Numbers of a convolution as the kernels need them.
struct Geometry {
  explicit Geometry(const Conv2dShape& s)
      : height(s.height),
        width(s.width),
        out_height(s.out_height),
        out_width(s.out_width),
        kernel_width(s.kernel_width),
        stride(s.stride),
        group_in(s.in_channels / s.groups),
        group_out(s.group_out()),
        in_channels(static_cast<int>(s.in_channels)),
        out_channels(static_cast<int>(s.out_channels)),
        taps(static_cast<int>(s.kernel_height * s.kernel_width)),
        padding(static_cast<int>(s.padding)),
        positions(static_cast<int>(s.batch * s.positions())),
        pixels(static_cast<int>(s.batch * s.height * s.width)) {}

  Divisor height, width, out_height, out_width, kernel_width, stride, group_in, group_out;
  int in_channels, out_channels, taps, padding;
  int positions, pixels;  // of the output and the input, in all images

  MIXGRAD_HOST_DEVICE int patch() const { return taps * group_in; }
};

constexpr int outside = -(1 << 29);  // a row of no image

// Four floats, address(0) to address(3), which are neighbours where they are wide; where one is null, 0, but 1 for
// number `one`.
template <bool wide, class F>
__device__ float4 gather4(F&& address, int one = -1) {
  if constexpr (wide) {
    const float* from = address(0);
    return from ? load4(true, from, 4) : make_float4(one == 0, 0, 0, 0);
  } else {
    const auto element = [&](int i) {
      const float* from = address(i);
      return from ? *from : static_cast<float>(i == one);
    };
    return make_float4(element(0), element(1), element(2), element(3));
  }
}

// The pixels that one output position sees: from (top, left) on, which may lie in the padding.
struct Window {
  const float* origin;  // of (top, left) in the input
  int top, left;
};

// The place of an element of a patch in its window.
struct Tap {
  int u, v;
  int offset;  // in memory, from the window's origin on
};

// patches(p, (u, v, c)) of one group: the input under tap (u, v) at output position p, or 0 in the padding.
struct Input {
  Geometry g;
  const float* x;

  __device__ Window window(int position) const {
    if (position >= g.positions) return {x, outside, 0};
    int j = position, i = g.out_width.split(j);
    const int n = g.out_height.split(i), top = i * g.stride - g.padding, left = j * g.stride - g.padding;
    return {x + ((std::int64_t{n} * g.height + top) * g.width + left) * g.in_channels, top, left};
  }
  __device__ Tap tap(int column) const {
    if (column >= g.patch()) return {outside, 0, 0};
    int c = column, v = g.group_in.split(c);
    const int u = g.kernel_width.split(v);
    return {u, v, (u * g.width + v) * g.in_channels + c};
  }
  __device__ const float* find(const Window& window, const Tap& tap) const {  // null in the padding
    const auto row = static_cast<unsigned>(window.top + tap.u), column = static_cast<unsigned>(window.left + tap.v);
    return row < static_cast<unsigned>(g.height) && column < static_cast<unsigned>(g.width) ? window.origin + tap.offset
                                                                                            : nullptr;
  }
};

// Patches as the rows of a product.
template <bool wide>
struct Patches : Input {
  static constexpr bool along_k = true;

  __device__ Patches at(int group) const { return {{g, x + group * g.group_in}}; }
  __device__ Window row(int position) const { return window(position); }
  __device__ float4 load(const Window& window, int k) const {
    return gather4<wide>([&](int i) { return find(window, tap(k + i)); });
  }
};

// Patches as the columns of a product over positions, behind them a column of ones.
template <bool wide>
struct PatchColumns : Input {
  static constexpr bool along_k = false;
  struct Row {
    int column;
    Tap tap;  // of the first of four
  };

  __device__ PatchColumns at(int group) const { return {{g, x + group * g.group_in}}; }
  __device__ Row row(int column) const { return {column, tap(column)}; }
  __device__ float4 load(const Row& row, int position) const {
    const Window window = this->window(position);
    const int one = position < g.positions ? g.patch() - row.column : -1;
    return gather4<wide>([&](int i) { return find(window, i == 0 ? row.tap : tap(row.column + i)); }, one);
  }
};

// dy under the same taps seen from an input pixel: (q, (u, v, o)) -> dy(p, o) for the p whose patch has q at (u, v).
template <bool wide>
struct OutputPatches {
  static constexpr bool along_k = true;
  Geometry g;
  const float* dy;

  struct Row {
    int first_row;  // of the image, in dy
    int top, left;  // the pixel's row and column in the padded image
  };

  __device__ OutputPatches at(int group) const { return {g, dy + group * g.group_out}; }
  __device__ Row row(int pixel) const {
    if (pixel >= g.pixels) return {0, outside, 0};
    int j = pixel, i = g.width.split(j);
    const int n = g.height.split(i);
    return {n * g.out_height, i + g.padding, j + g.padding};
  }
  __device__ const float* find(const Row& row, int column) const {  // null where there is no such p
    int o = column, v = g.group_out.split(o);
    const int u = g.kernel_width.split(v);
    int i = row.top - u, j = row.left - v;
    if (column >= g.taps * g.group_out || i < 0 || j < 0) return nullptr;
    const int out_row = g.stride.split(i), out_column = g.stride.split(j);
    if (i != 0 || j != 0 || out_row >= g.out_height || out_column >= g.out_width) return nullptr;
    const int position = (row.first_row + out_row) * g.out_width + out_column;
    return dy + std::int64_t{position} * g.out_channels + o;
  }
  __device__ float4 load(const Row& row, int k) const {
    return gather4<wide>([&](int i) { return find(row, k + i); });
  }
};

// w(o, (u, v, c)) of one group, in memory as [o, (u, v, c)], with the rows c and the depth (u, v, o).
struct WeightsOfInputs {
  static constexpr bool along_k = false;
  Geometry g;
  const float* w;
  bool wide;

  __device__ WeightsOfInputs at(int group) const {
    return {g, w + std::int64_t{group} * g.group_out * g.taps * g.group_in, wide};
  }
  __device__ int row(int row) const { return row; }
  __device__ float4 load(int row, int k) const {
    int o = k;
    const int tap = g.group_out.split(o);
    return load4(wide, w + (std::int64_t{o} * g.taps + tap) * g.group_in + row,
                 k < g.taps * g.group_out ? g.group_in - row : 0);
  }
};

// The outputs of a convolution, as RowsOut: products plus a bias where there is one, or 0 where relu makes that of it.
struct Outputs {
  RowsOut rows;
  const float* bias;  // or null
  bool relu;

  __device__ Outputs at(int group, int split) const {
    return {rows.at(group, split), bias ? bias + group * rows.width : nullptr, relu};
  }
  __device__ void store(int m, int n, float4 v, int valid) const {
    if (bias) {
      const float4 b = load4(rows.wide, bias + n, valid);
      v = make_float4(v.x + b.x, v.y + b.y, v.z + b.z, v.w + b.w);
    }
    constexpr functions::Relu positive{};
    if (relu) v = make_float4(positive(v.x), positive(v.y), positive(v.z), positive(v.w));
    rows.store(m, n, v, valid);
  }
};

// One split's share of the gradients of the weights [groups, group_out, patch] and of the bias [groups, group_out], for
// products (patch, o), row `patch` being the bias's.
struct WeightGradientOut {
  float *weight, *bias;
  std::int64_t pitch;  // from one split to the next
  int group_out, patch;

  __device__ WeightGradientOut at(int group, int split) const {
    return {weight + split * pitch + std::int64_t{group} * group_out * patch, bias + split * pitch + group * group_out,
            pitch, group_out, patch};
  }
  __device__ void store(int m, int n, float4 v, int valid) const {
    const float values[4] = {v.x, v.y, v.z, v.w};
    for (int i = 0; i < 4; ++i)
      if (i < valid) (m < patch ? weight[std::int64_t{n + i} * patch + m] : bias[n + i]) = values[i];
  }
};

// Enough blocks to fill a large GPU; the number depends on the shape alone, and so do the bits of the sum.
template <class Tile>
int splits_of(const Geometry& g, int rows, std::int64_t groups) {
  constexpr std::int64_t blocks = 512, least = Tile::depth * (Tile::shares > 1 ? 2 : 16);  // positions worth a block
  const std::int64_t tiles = std::int64_t{blocks_for(rows, Tile::m)} * blocks_for(g.group_out, Tile::n) * groups;
  return static_cast<int>(std::clamp<std::int64_t>(blocks / std::max<std::int64_t>(tiles, 1), 1,
                                                   std::max<std::int64_t>(g.positions / least, 1)));
}

// The gradients of the weights, and of the bias, which may be undefined.
void parameter_gradients(Cuda device, const Geometry& g, int groups, const Tensor& x, const Tensor& dy, bool wide_x,
                         bool wide_dy, Out dweight, Out dbias) {
  with_tile(g.group_out, [&](auto tile) {
    using Tile = decltype(tile);
    const bool with_bias = dbias.defined() && g.patch() % Tile::m != 0;
    const int rows = g.patch() + with_bias, splits = splits_of<Tile>(g, rows, groups);
    const std::int64_t weights = dweight.numel(), all = weights + (with_bias ? g.out_channels : 0);
    float *weight = write(dweight), *bias = with_bias ? write(dbias) : weight;
    const Tensor partial = splits > 1 ? Tensor::empty({splits, all}, {.device = cuda}) : Tensor();
    float* const sums = splits > 1 ? write(partial) : nullptr;
    const WeightGradientOut out{sums ? sums : weight, sums ? sums + weights : bias, all, g.group_out, g.patch()};
    with_constant(wide_x, [&](auto wide) {
      launch_gemm<Tile>(device, {.m = rows, .n = g.group_out, .k = g.positions, .split_k = splits, .batch = groups},
                        PatchColumns<wide.value>{{g, read(x)}},
                        MatrixOperand<true>{read(dy), g.group_out, g.positions, g.out_channels, g.group_out, wide_dy},
                        out);
    });
    if (sums) column_sums<1>(device, 1, splits, all, Element{sums}, TwoArrays{weight, weights, bias});
    if (dbias.defined() && !with_bias)
      column_sums<1>(device, 1, g.positions, g.out_channels, Element{read(dy)}, write(dbias));
  });
}

void check_size(Cuda device, const Conv2dShape& s) {
  constexpr std::int64_t most = (std::int64_t{1} << 31) - (std::int64_t{1} << 16);  // and what tiles go beyond
  const std::int64_t in = s.height * s.width, out = s.positions();
  check(s.batch * std::max(in, out) <= most && std::max(in * s.in_channels, out * s.out_channels) <= most &&
            s.patch() <= most && s.groups <= 65535,
        device.op, ": ", s.batch, " images of ", s.height, " x ", s.width, " x ", s.in_channels,
        " are more than the GPU's kernel takes");
}

}  // namespace

void conv2d_forward(Cuda device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias,
                    Out y) {
  check_size(device, s);
  const Geometry g(s);
  const float* pb = bias.defined() ? read(bias) : nullptr;
  const bool wide_in = is_wide(g.group_in, read(x)) && is_aligned(read(weight), 4);
  const bool wide_out = is_wide(g.group_out, write(y)) && is_aligned(pb, 4);
  with_constant(wide_in, [&](auto wide) {
    implicit_gemm(device, {.m = g.positions, .n = g.group_out, .k = g.patch(), .batch = static_cast<int>(s.groups)},
                  Patches<wide.value>{{g, read(x)}},
                  MatrixOperand<false>{read(weight), g.group_out, g.patch(), g.patch(),
                                       std::int64_t{g.group_out} * g.patch(), wide_in},
                  Outputs{{write(y), g.out_channels, g.group_out, wide_out}, pb, s.relu});
  });
}

void conv2d_backward(Cuda device, const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& y,
                     const Tensor& grad, Out dx, Out dweight, Out dbias) {
  check_size(device, s);
  // A pass of its own: the products read each number of dy several times, and would each time read y as well.
  Tensor dy = grad;
  if (s.relu) unary_backward(device, functions::Relu{}, y, grad, dy = Tensor::empty(grad.shape(), grad.options()));
  const Geometry g(s);
  const auto groups = static_cast<int>(s.groups);
  const bool wide_in = is_wide(g.group_in, read(x)) && is_aligned(read(weight), 4);
  const bool wide_out = is_wide(g.group_out, read(dy));
  if (dx.defined())
    with_constant(wide_out, [&](auto wide) {
      implicit_gemm(device, {.m = g.pixels, .n = g.group_in, .k = g.taps * g.group_out, .batch = groups},
                    OutputPatches<wide.value>{g, read(dy)}, WeightsOfInputs{g, read(weight), wide_in},
                    RowsOut{write(dx), g.in_channels, g.group_in, wide_in && is_aligned(write(dx), 4)});
    });
  if (dweight.defined()) parameter_gradients(device, g, groups, x, dy, wide_in, wide_out, dweight, dbias);
  else if (dbias.defined()) column_sums<1>(device, 1, g.positions, g.out_channels, Element{read(dy)}, write(dbias));
}

}  // namespace mixgrad::kernels
