// 3x3 convolutions of stride 1 by Winograd's minimal filtering (Lavin and Gray, "Fast Algorithms for Convolutional
// Neural Networks", 2015). Along one axis, two neighbouring outputs of a filter g over pixels d take four
// multiplications instead of six:
//
//   y0 = d0 g0 + d1 g1 + d2 g2 = m0 + m1 + m2      m0 = (d0 - d2) g0      m1 = (d1 + d2) (g0 + g1 + g2) / 2
//   y1 = d1 g0 + d2 g1 + d3 g2 = m1 - m2 - m3      m3 = (d1 - d3) g2      m2 = (d2 - d1) (g0 - g1 + g2) / 2
//
// Along both axes, a tile of 2x2 outputs takes 16 instead of 36. The factors depend on either the pixels or the filter,
// and the products are summed over channels before they are combined, so most of the work is 16 matrix products:
//
//   4x4 pixels of each tile   -> [16, tiles, in] \.
//                                                  *  -> [16, tiles, out] ->  2x2 outputs of each tile
//   3x3 weights of each pair  -> [16, in, out]   /
//
// The input gradient is the same over dy, with each filter turned by 180 degrees; or where dy has clearly fewer tiles
// than x, as where a pooling reads only part of y, the transpose of all that: dy's tiles of 2x2 become 4x4, meet the
// filters, and become 4x4 pixels each, which are added where they overlap. For the gradient of the weight, the
// filter is dy: along one axis, the gradients e of two outputs and four pixels give those of three weights, also by
// four multiplications, and the products are summed over tiles before they are combined:
//
//   d0 e0 + d1 e1 = m0 + m1 + m2      m0 = (d0 - d2) e0        m1 = (d1 + d2) (e0 + e1) / 2
//   d1 e0 + d2 e1 = m1 - m2           m3 = (d1 - d3) (-e1)     m2 = (d2 - d1) (e0 - e1) / 2
//   d2 e0 + d3 e1 = m1 + m2 + m3
//
//   2x2 of dy of each tile    -> [16, out, tiles] \.
//                                                   *  -> [16, out, in] ->  3x3 gradients of each pair
//   4x4 pixels of each tile   -> [16, tiles, in]  /
#include "nn/conv2d_cpu/tile_layout.h"

namespace mixgrad::kernels::conv2d_winograd {
namespace {

using conv2d_tiles::Block, conv2d_tiles::block_of, conv2d_tiles::num_blocks, conv2d_tiles::ThreadMemory;

// The transforms along one axis.
template <int n>
struct Vectors {
  static constexpr int size = n;
  Vector vectors[n];
  const Vector& operator[](int i) const { return vectors[i]; }
};
struct PixelTransform {
  Vectors<4> operator()(const Vector* d) const { return {d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]}; }
};
struct FilterTransform {
  Vectors<4> operator()(const Vector* g) const {
    const Vector outer = g[0] + g[2];
    return {g[0], 0.5f * (outer + g[1]), 0.5f * (outer - g[1]), g[2]};
  }
};
struct OutputTransform {
  Vectors<2> operator()(const Vector* m) const { return {m[0] + m[1] + m[2], m[1] - m[2] - m[3]}; }
};
// The transposes of the transforms of outputs and pixels.
struct OutputTranspose {
  Vectors<4> operator()(const Vector* e) const { return {e[0], e[0] + e[1], e[0] - e[1], -e[1]}; }
};
struct PixelTranspose {
  Vectors<4> operator()(const Vector* m) const { return {m[0], m[1] - m[2] + m[3], m[1] + m[2] - m[0], -m[3]}; }
};
struct GradientTransform {
  Vectors<4> operator()(const Vector* e) const { return {e[0], 0.5f * (e[0] + e[1]), 0.5f * (e[0] - e[1]), -e[1]}; }
};
struct WeightTransform {
  Vectors<3> operator()(const Vector* m) const {
    const Vector inner = m[1] + m[2];
    return {m[0] + inner, m[1] - m[2], inner + m[3]};
  }
};

// Transforms n x n vectors from(i, j) along both axes, and calls to(i, j, vector) for those of the result.
template <int n, class Transform, class From, class To>
[[gnu::always_inline]] inline void transform_square(Transform transform, const From& from, const To& to) {
  constexpr int results = decltype(transform(nullptr))::size;
  Vector rows[results][n];
#pragma GCC unroll 4
  for (int j = 0; j < n; ++j) {
    Vector column[n];
#pragma GCC unroll 4
    for (int i = 0; i < n; ++i) column[i] = from(i, j);
    const auto transformed = transform(column);
#pragma GCC unroll 4
    for (int i = 0; i < results; ++i) rows[i][j] = transformed[i];
  }
#pragma GCC unroll 4
  for (int i = 0; i < results; ++i) {
    const auto transformed = transform(rows[i]);
#pragma GCC unroll 4
    for (int j = 0; j < results; ++j) to(i, j, transformed[j]);
  }
}

// Calls f(c, n) for vectors of n channels that cover `channels`; only the last may have fewer than `lanes`.
template <class F>
[[gnu::always_inline]] inline void for_each_lanes_of(std::int64_t channels, const F& f) {
  std::int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) f(c, lanes);
  if (c < channels) f(c, channels - c);
}

// The tiles of a batch of outputs [height, width]; those at the lower and right edge may be partly outside.
struct Tiles {
  std::int64_t height, width, rows, columns, count;

  Tiles(std::int64_t batch, std::int64_t height, std::int64_t width)
      : height(height), width(width), rows((height + 1) / 2), columns((width + 1) / 2), count(batch * rows * columns) {}
  std::int64_t image(std::int64_t tile) const { return tile / (rows * columns); }
  std::int64_t row(std::int64_t tile) const { return tile / columns % rows * 2; }
  std::int64_t column(std::int64_t tile) const { return tile % columns * 2; }
  std::int64_t output(std::int64_t tile) const { return (image(tile) * height + row(tile)) * width + column(tile); }
};

// Images to be read in squares of pixels; zero outside, and where `mask`, unless it is null, is at most 0.
struct Images {
  const float *data, *mask;
  std::int64_t height, width, channels;
};

// 16 matrices [rows, columns] in panels (core/tile.h): groups of rows, in these blocks of tile_columns columns, [rows /
// group, columns / tile_columns, group, tile_columns].
struct Matrices {
  float* data;
  std::int64_t block, group, group_size, step;

  Matrices(float* data, std::int64_t rows, std::int64_t columns, std::int64_t group)
      : data(data),
        block(group * tile_columns),
        group(group),
        group_size(num_ranges(columns, tile_columns) * block),
        step(size(rows, columns, group) / 16) {}
  // A cache line lies between them: else their distances would often be multiples of the page size, and all 16 would
  // compete for the same few places in the first cache.
  static std::int64_t size(std::int64_t rows, std::int64_t columns, std::int64_t group) {
    return 16 * (num_ranges(rows, group) * num_ranges(columns, tile_columns) * group * tile_columns + 16);
  }
  // How far column c is from the first.
  std::int64_t column(std::int64_t c) const { return c / tile_columns * block + c % tile_columns; }
  float* at(std::int64_t matrix, std::int64_t row) const {
    return data + matrix * step + row / group * group_size + row % group * tile_columns;
  }
};

// Rows 0, ..., count - 1 of `to` are those of tiles first, ...: `channels` channels from first_channel on of squares of
// n x n pixels, `padding` above and left of a tile, transformed. `zeros` are as many zeros.
template <int n, class Transform>
void transform_tiles(Transform transform, Tiles tiles, std::int64_t first, std::int64_t count, std::int64_t padding,
                     Images images, std::int64_t first_channel, std::int64_t channels, const float* zeros,
                     Matrices to) {
  for (std::int64_t t = 0; t < count; ++t) {
    const std::int64_t image = tiles.image(first + t);
    const float *pixels[n][n], *masks[n][n];
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j) {
        const std::int64_t row = tiles.row(first + t) + i - padding, column = tiles.column(first + t) + j - padding;
        const bool inside = row >= 0 && row < images.height && column >= 0 && column < images.width;
        const std::int64_t at =
            ((image * images.height + row) * images.width + column) * images.channels + first_channel;
        pixels[i][j] = inside ? images.data + at : zeros;
        masks[i][j] = inside && images.mask ? images.mask + at : zeros;
      }
    float* const square = to.at(0, t);
    for_each_lanes_of(channels, [&](std::int64_t c, std::int64_t some) {
      const auto pixel = [&](int i, int j) { return load(pixels[i][j] + c, some); };
      const auto masked = [&](int i, int j) {
        return load(masks[i][j] + c, some) <= Vector{} ? Vector{} : pixel(i, j);
      };
      const auto put = [&, at = to.column(c)](int i, int j, Vector v) {
        store(square + (4 * i + j) * to.step + at, v);
      };
      if (images.mask) transform_square<n>(transform, masked, put);
      else transform_square<n>(transform, pixel, put);
    });
  }
}

// The filters of one block of columns as 16 panels [depth, tile_columns], from weights [out, 3, 3, in]: columns are
// outputs and the depth inputs, or for a gradient the other way round, and there they may be turned by 180 degrees.
enum class Filters { forward, gradient, turned_gradient };
void pack_filters(Filters kind, Block block, std::int64_t depth, const float* weight, std::int64_t in, float* packed) {
  const bool turned = kind == Filters::turned_gradient;
  const auto filters = [=](std::int64_t out, std::int64_t c, std::int64_t count) {
    return [=](int i, int j) {
      const int tap = turned ? 8 - 3 * i - j : 3 * i + j;
      return load(weight + (out * 9 + tap) * in + c, count);
    };
  };
  const auto row = [=](std::int64_t matrix, std::int64_t k) { return packed + (matrix * depth + k) * tile_columns; };
  if (kind != Filters::forward) {
    for (std::int64_t k = 0; k < depth; ++k)
      for (std::int64_t c = 0; c < block.columns; c += lanes)
        transform_square<3>(FilterTransform{}, filters(k, block.first + c, block.columns - c),
                            [=](int i, int j, Vector v) { store(row(4 * i + j, k) + c, v); });
    return;
  }
  alignas(64) float columns[16][tile_columns][lanes];  // of some depth, to be transposed
  for (std::int64_t k = 0; k < depth; k += lanes) {
    for (std::int64_t o = 0; o < block.columns; ++o)
      transform_square<3>(FilterTransform{}, filters(block.first + o, k, depth - k),
                          [&](int i, int j, Vector v) { store(columns[4 * i + j][o], v); });
    for (int matrix = 0; matrix < 16; ++matrix)
      copy_transposed(std::min<std::int64_t>(depth - k, lanes), block.columns, columns[matrix][0], lanes,
                      row(matrix, k), tile_columns, block.width);
  }
}

// Where the 2x2 outputs of tiles go: y [batch, height, width, channels]; bias may be null.
struct Outputs {
  Tiles tiles;
  std::int64_t channels;
  const float* bias;
  bool relu;
  float* y;

  float* at(std::int64_t tile, Block block) const { return y + tiles.output(tile) * channels + block.first; }

  [[gnu::always_inline]] void prefetch(std::int64_t tile, Block block) const {
    for (std::int64_t i = 0; i < 2; ++i)
      for (std::int64_t j = 0; j < 2; ++j)
        for (std::int64_t c = 0; c < block.width; c += 16)
          __builtin_prefetch(at(tile, block) + (i * tiles.width + j) * channels + c, 1);
  }

  // Those of tiles first, ..., from the sums of their products.
  void write(std::int64_t first, std::int64_t count, Matrices sums, Block block) const {
    for (std::int64_t t = 0; t < count; ++t) {
      float* const to = at(first + t, block);
      const float* const square = sums.at(0, t);
      const bool below = tiles.row(first + t) + 1 < tiles.height, right = tiles.column(first + t) + 1 < tiles.width;
      const bool inside[2][2] = {{true, right}, {below, below && right}};
      for_each_lanes_of(block.columns, [&](std::int64_t c, std::int64_t n) {
        const Vector start = bias ? load(bias + block.first + c, n) : Vector{};
        transform_square<4>(
            OutputTransform{}, [&](int i, int j) { return load(square + (4 * i + j) * sums.step + c); },
            [&](int i, int j, Vector v) {
              v += start;
              if (relu) v = v <= Vector{} ? Vector{} : v;
              if (inside[i][j]) store(to + (i * tiles.width + j) * channels + c, v, n);
            });
      });
    }
  }
};

// Where the 4x4 pixels of tiles of dy are added: dx [batch, height, width, channels].
struct AddedPixels {
  Tiles tiles;
  std::int64_t height, width, padding, channels;
  float* dx;

  void prefetch(std::int64_t, Block) const {}

  void write(std::int64_t first, std::int64_t count, Matrices sums, Block block) const {
    for (std::int64_t t = 0; t < count; ++t) {
      const std::int64_t top = tiles.row(first + t) - padding, left = tiles.column(first + t) - padding;
      float* const image = dx + tiles.image(first + t) * height * width * channels + block.first;
      const float* const square = sums.at(0, t);
      for_each_lanes_of(block.columns, [&](std::int64_t c, std::int64_t n) {
        transform_square<4>(
            PixelTranspose{}, [&](int i, int j) { return load(square + (4 * i + j) * sums.step + c); },
            [&](int i, int j, Vector v) {
              if (top + i < 0 || top + i >= height || left + j < 0 || left + j >= width) return;
              float* const to = image + ((top + i) * width + left + j) * channels + c;
              store(to, load(to, n) + v, n);
            });
      });
    }
  }
};

// How many tiles go through together: so many that the filters are read from far away few times, so few that their
// transforms stay in the second cache.
std::int64_t tiles_at_once(std::int64_t channels) {
  constexpr std::int64_t elements = 3 << 16;  // 768 KiB
  return std::clamp<std::int64_t>(elements / (16 * channels) / panel_rows * panel_rows, 48, 96);
}

// The transformed pixels of tiles, `grain` for a thread at a time, times the filters for each block of columns,
// written. transform(first, count, to): tiles first, ... as matrices [count, depth].
template <class Transform, class Destination>
void multiply_filters(Filters kind, const float* weight, std::int64_t depth, std::int64_t grain,
                      const Transform& transform, const Destination& destination) {
  const std::int64_t columns = destination.channels, blocks = num_blocks(columns),
                     block_size = 16 * depth * tile_columns;
  const std::int64_t at_once = tiles_at_once(depth), pixels_size = Matrices::size(at_once, depth, panel_rows);
  // Of very many filters only some are packed at a time, 8 MiB; pixels are then transformed again for the next.
  const std::int64_t blocks_at_once = std::min(rows_per_range(block_size, std::int64_t{1} << 21), blocks);
  const Scratch<> packed(blocks_at_once * block_size);
  float* const pp = packed.data();
  const ThreadMemory memory(pixels_size + Matrices::size(at_once, tile_columns, at_once));
  const auto multiply_tiles = [&](std::int64_t first, std::int64_t count, std::int64_t first_block,
                                  std::int64_t some_blocks) {
    const Matrices pixels(memory.get(), count, depth, panel_rows);
    const Matrices sums(memory.get() + pixels_size, count, tile_columns, count);
    transform(first, count, pixels);
    for (std::int64_t b = 0; b < some_blocks; ++b) {
      const Block block = block_of(columns, first_block + b);
      for (std::int64_t matrix = 0; matrix < 16; ++matrix) {
        const float* const filters = pp + b * block_size + matrix * depth * tile_columns;
        for (std::int64_t t = matrix * count / 16; t < (matrix + 1) * count / 16; ++t)
          destination.prefetch(first + t, block);
        multiply(PanelProduct{.a = pixels.at(matrix, 0),
                              .b = filters,
                              .next = filters + depth * tile_columns,
                              .c = sums.at(matrix, 0),
                              .rows = count,
                              .columns = block.columns,
                              .depth = depth});
      }
      destination.write(first, count, sums, block);
    }
  };
  for_each_part(blocks, blocks_at_once, [&](std::int64_t first_block, std::int64_t some_blocks) {
    parallel_for(some_blocks, rows_per_range(block_size, 1 << 15), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b)
        pack_filters(kind, block_of(columns, first_block + b), depth, weight,
                     kind == Filters::forward ? depth : columns, pp + b * block_size);
    });
    parallel_for(destination.tiles.count, grain, [&](std::int64_t begin, std::int64_t end) {
      for_each_part(end - begin, at_once, [&](std::int64_t first, std::int64_t count) {
        multiply_tiles(begin + first, count, first_block, some_blocks);
      });
    });
  });
}

// y = the convolution of the images, for tiles of y.
void convolve(Filters kind, const Images& images, std::int64_t padding, const float* weight, const Outputs& outputs) {
  const Scratch<> zeros(images.channels);
  std::fill_n(zeros.data(), images.channels, 0.0f);
  multiply_filters(
      kind, weight, images.channels, tiles_at_once(images.channels),
      [&](std::int64_t first, std::int64_t count, const Matrices& to) {
        transform_tiles<4>(PixelTransform{}, outputs.tiles, first, count, padding, images, 0, images.channels,
                           zeros.data(), to);
      },
      outputs);
}

// Its transpose: dx = the sum of what the gradients dy send to pixels, for tiles of dy. Whole images are a thread's, as
// the pixels of neighbouring tiles overlap.
void convolve_transposed(const Images& dy, const float* weight, const AddedPixels& pixels) {
  const std::int64_t image_tiles = pixels.tiles.rows * pixels.tiles.columns;
  const Scratch<> zeros(dy.channels);
  std::fill_n(zeros.data(), dy.channels, 0.0f);
  multiply_filters(
      Filters::gradient, weight, dy.channels, rows_per_range(image_tiles, tiles_at_once(dy.channels)) * image_tiles,
      [&](std::int64_t first, std::int64_t count, const Matrices& to) {
        transform_tiles<2>(OutputTranspose{}, pixels.tiles, first, count, 0, dy, 0, dy.channels, zeros.data(), to);
      },
      pixels);
}

// c [rows, columns] = transpose(a [depth, rows]) b [depth, columns], added to c where `started`, for each of the 16.
// The depth is one group of a and b, and tile_columns rows are one of c.
void add_products(std::int64_t rows, std::int64_t columns, std::int64_t depth, bool started, Matrices a, Matrices b,
                  Matrices c) {
  for (std::int64_t matrix = 0; matrix < 16; ++matrix)
    for (std::int64_t i = 0; i < rows; i += tile_columns)
      for (std::int64_t j = 0; j < columns; j += tile_columns)
        multiply(PanelProduct{.a = a.at(matrix, 0) + a.column(i),
                              .b = b.at(matrix, 0) + b.column(j),
                              .c = c.at(matrix, i) + c.column(j),
                              .rows = std::min(rows - i, tile_columns),
                              .columns = std::min(columns - j, tile_columns),
                              .depth = depth,
                              .transposed = true,
                              .started = started});
}

}  // namespace

void forward(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  convolve(Filters::forward, {x.data<float>(), nullptr, s.height, s.width, s.in_channels}, s.padding,
           weight.data<float>(),
           {{s.batch, s.out_height, s.out_width},
            s.out_channels,
            bias.defined() ? bias.data<float>() : nullptr,
            s.relu,
            y.mutable_data<float>()});
}

void input_gradient(const Conv2dShape& s, const Tensor& weight, const Tensor& y, const Tensor& dy, Out dx) {
  const float* mask = s.relu ? y.data<float>() : nullptr;
  const Images gradients{dy.data<float>(), mask, s.out_height, s.out_width, s.out_channels};
  const Tiles tiles(s.batch, s.height, s.width), few(s.batch, s.out_height, s.out_width);
  if (few.count * 5 > tiles.count * 4)
    return convolve(Filters::turned_gradient, gradients, 2 - s.padding, weight.data<float>(),
                    {tiles, s.in_channels, nullptr, false, dx.mutable_data<float>()});
  dx.fill_(0);
  convolve_transposed(gradients, weight.data<float>(),
                      {few, s.height, s.width, s.padding, s.in_channels, dx.mutable_data<float>()});
}

// A unit of work is a range of tiles and a block of either side's channels, whose sums stay in the second cache; few
// ranges where there are many blocks. Sums over many tiles are taken in parts, and the parts in f64 (core/sums.h).
void weight_gradient(const Conv2dShape& s, const Tensor& x, const Tensor& y, const Tensor& dy, Out dweight) {
  constexpr std::int64_t most_channels = 128, at_once = 64, most_chain = 768, least_range = 256;
  const Images pixels{x.data<float>(), nullptr, s.height, s.width, s.in_channels};
  const Images outputs{dy.data<float>(), s.relu ? y.data<float>() : nullptr, s.out_height, s.out_width, s.out_channels};
  const Tiles tiles(s.batch, s.out_height, s.out_width);
  const std::int64_t in_blocks = num_ranges(s.in_channels, most_channels);
  const std::int64_t out_blocks = num_ranges(s.out_channels, most_channels), blocks = in_blocks * out_blocks;
  const std::int64_t most_ranges = std::max<std::int64_t>(8 / blocks, 1);
  const std::int64_t grain = std::max(num_ranges(tiles.count, most_ranges), least_range);
  const std::int64_t ranges = std::max<std::int64_t>(num_ranges(tiles.count, grain), 1);
  const std::int64_t size = dweight.numel();
  const std::int64_t most_in = num_ranges(s.in_channels, in_blocks);
  const std::int64_t most_out = num_ranges(s.out_channels, out_blocks);
  const Scratch<> partials(ranges == 1 ? 0 : ranges * size), zeros(most_channels);
  std::fill_n(zeros.data(), most_channels, 0.0f);
  const std::int64_t d_size = Matrices::size(at_once, most_in, at_once);
  const std::int64_t e_size = Matrices::size(at_once, most_out, at_once);
  const ThreadMemory memory(d_size + e_size + Matrices::size(most_out, most_in, tile_columns));
  const std::int64_t totals_size = 9 * most_out * most_in;
  const Scratch<double> totals(num_threads() * totals_size);
  float* const pdw = dweight.mutable_data<float>();
  float* const pp = ranges == 1 ? pdw : partials.data();
  parallel_ranges(ranges * blocks, 1, [&](std::int64_t unit, std::int64_t, std::int64_t) {
    // Channels in even blocks.
    const std::int64_t range = unit / blocks, in_block = unit % in_blocks, out_block = unit / in_blocks % out_blocks;
    const std::int64_t first_in = in_block * s.in_channels / in_blocks;
    const std::int64_t in = (in_block + 1) * s.in_channels / in_blocks - first_in;
    const std::int64_t first_out = out_block * s.out_channels / out_blocks;
    const std::int64_t out = (out_block + 1) * s.out_channels / out_blocks - first_out;
    const Matrices d(memory.get(), at_once, in, at_once), e(memory.get() + d_size, at_once, out, at_once);
    const Matrices sums(memory.get() + d_size + e_size, out, in, tile_columns);
    double* const total = totals.data() + thread_index() * totals_size;  // [out, 9, in]
    std::fill_n(total, out * 9 * in, 0.0);
    for_each_part(std::min(grain, tiles.count - range * grain), most_chain, [&](std::int64_t begin, std::int64_t part) {
      for_each_part(part, at_once, [&](std::int64_t start, std::int64_t count) {
        const std::int64_t first = range * grain + begin + start;
        transform_tiles<4>(PixelTransform{}, tiles, first, count, s.padding, pixels, first_in, in, zeros.data(), d);
        transform_tiles<2>(GradientTransform{}, tiles, first, count, 0, outputs, first_out, out, zeros.data(), e);
        add_products(out, in, count, start > 0, e, d, sums);
      });
      for (std::int64_t o = 0; o < out; ++o)
        for (std::int64_t c = 0; c < in; c += lanes)
          transform_square<4>(
              WeightTransform{}, [&](int i, int j) { return load(sums.at(4 * i + j, o) + sums.column(c)); },
              [&](int i, int j, Vector v) {
                double* const to = total + (o * 9 + 3 * i + j) * in + c;
                for (std::int64_t l = 0; l < std::min<std::int64_t>(in - c, lanes); ++l) to[l] += v[l];
              });
    });
    for (std::int64_t row = 0; row < out * 9; ++row)
      std::transform(total + row * in, total + (row + 1) * in,
                     pp + range * size + (first_out * 9 + row) * s.in_channels + first_in,
                     [](double sum) { return static_cast<float>(sum); });
  });
  if (ranges == 1) return;
  parallel_for(size, 1 << 14, [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      double sum = pp[i];
      for (std::int64_t range = 1; range < ranges; ++range) sum += pp[range * size + i];
      pdw[i] = static_cast<float>(sum);
    }
  });
}

}  // namespace mixgrad::kernels::conv2d_winograd
