// The gradients of weight and bias by tiles (core/tile.h): (u, v, c) by output channels, summed over outputs (i, j).
//
//   depth (i, j)                      dy, as [(i, j), o]           dweight, as [(u, v, c), o]
//
//   tap (0, 0, 0)   x x x x x           g g g g g g                    d d d d d d
//   tap (0, 0, 1)   x x x x x     *     g g g g g g           =        d d d d d d
//   tap (0, 1, 0)   x x x x x           ...                            d d d d d d
//
// The bias's gradient is the sum of dy, which passes by.
#include "core/rows.h"
#include "nn/conv2d_cpu/tile_layout.h"

namespace mixgrad::kernels::conv2d_tiles {
namespace {

// The outputs' gradients dy [positions, channels] of one block as [positions, width], where `mask` is given with zeros
// where the output is at most 0; bias_sums [width] += their sums (core/sums.h).
void pack_gradients(const Block& block, std::int64_t positions, std::int64_t channels, const float* dy,
                    const float* mask, float* to, double* bias_sums) {
  for (std::int64_t v = 0; v < block.width; v += lanes) {
    LaneTotals<float> total;
    const auto pack = [&](std::int64_t p) {
      const std::int64_t from = p * channels + block.first + v;
      Vector g = load(dy + from, block.columns - v);
      if (mask) g = load(mask + from, block.columns - v) <= Vector{} ? Vector{} : g;
      store(to + p * block.width + v, g);
      return g;
    };
    std::int64_t p = 0;
    for (; p + 4 <= positions; p += 4) total.add((pack(p) + pack(p + 1)) + (pack(p + 2) + pack(p + 3)));
    for (; p < positions; ++p) total.add(pack(p));
    total.add_to(bias_sums + v, lanes);
  }
}

// c(r, j) += sum over k < depth of a(r, k) b(k, j) for any number of rows and columns, with a(r, k) as in a tile and
// rows of b and c, whole vectors, side by side.
void add_product(const Offsets& a_rows, const std::int64_t* a_steps, std::int64_t depth, const float* a, const float* b,
                 std::int64_t columns, float* c) {
  std::int64_t c_rows[most_rows(1)];
  for (std::int64_t r = 0; r < most_rows(1); ++r) c_rows[r] = r * columns;
  for (std::int64_t j = 0; j < columns; j += tile_columns) {
    const std::int64_t width = std::min(columns - j, tile_columns);
    for_each_part(static_cast<std::int64_t>(a_rows.size()), most_rows(width), [&](std::int64_t i, std::int64_t rows) {
      float* to = c + i * columns + j;
      multiply({.a = a,
                .a_rows = a_rows.data() + i,
                .a_steps = a_steps,
                .b = b + j,
                .b_row = columns,
                .start = to,
                .start_row = columns,
                .c = to,
                .c_rows = c_rows,
                .rows = rows,
                .columns = width,
                .depth = depth});
    });
  }
}

}  // namespace

void parameter_gradients(const Conv2dShape& s, const Tensor& x, const Tensor& y, const Tensor& dy, Out dweight,
                         Out dbias) {
  const std::int64_t patch = dweight.defined() ? s.patch() : 0, blocks = num_blocks(s.out_channels),
                     at_once = images_at_once(s, 8 * most_rows(1));
  // Of each range of images, in blocks: the sums, [patch, width] or of few outputs [out, width of a patch]; the bias's,
  // [width]. Only so many ranges that these are not much memory.
  const std::int64_t out_width = whole_vectors(s.out_channels), partial_size = out_width * patch;
  const std::int64_t most_ranges = std::min<std::int64_t>(rows_per_range(partial_size, std::int64_t{1} << 20), 16);
  const std::int64_t grain = images_per_range(s, at_once, most_ranges);
  const std::int64_t ranges = std::max<std::int64_t>(num_ranges(s.batch, grain), 1);
  // A unit of work is a range and a group of blocks, as images are copied and read once for all of a group.
  const std::int64_t groups = std::min(num_ranges(8, ranges), blocks);
  const Border border = padded_input(s);
  const bool few = by_patches(s), planes = dweight.defined() && by_planes(s);
  const bool copied = dweight.defined() && (planes || s.padding > 0);
  const BorderedImages padded(border, copied ? at_once : 0);
  const CopiedPatches patches(s, border);
  const Offsets positions =
      planes ? grid({at_once, border.size()}, {s.out_height, s.stride * border.width}, {s.out_width, s.stride})
             : positions_of(s, border, at_once);
  const Offsets taps =
      planes ? grid({s.kernel_height, border.width}, {s.kernel_width, 1}, {s.in_channels, border.height * border.width})
             : patch_of(s, border);
  const Offsets outputs = line(few ? s.out_channels : 0, 1),
                gradient_rows = line(CopiedPatches::at_once, lanes);  // of few
  const Scratch<> partials(ranges * partial_size);
  const Scratch<double> bias_partials(ranges * out_width);
  // Sums over more positions than most_chain are taken in parts, and the parts in f64 (core/sums.h).
  constexpr std::int64_t most_chain = 3072;
  constexpr std::int64_t most_depth = 192;  // so many rows of gradients stay in the first cache
  const bool in_parts = grain * s.positions() > most_chain;
  const Scratch<double> totals(in_parts ? ranges * partial_size : 0);
  // The outputs' gradients of some positions and one block, [positions, width], for each thread.
  const ThreadMemory gradients(most_depth * tile_columns);
  const float* px = x.data<float>();
  const float* pdy = dy.data<float>();
  const float* py = s.relu ? y.data<float>() : nullptr;
  float* pp = partials.data();
  double *pb = bias_partials.data(), *pt = totals.data();
  parallel_ranges(ranges * groups, 1, [&](std::int64_t unit, std::int64_t, std::int64_t) {
    const std::int64_t range = unit / groups, group = unit % groups, end = std::min((range + 1) * grain, s.batch);
    const std::int64_t first_block = group * blocks / groups, end_block = (group + 1) * blocks / groups;
    float *const gradient = gradients.get(), *const sums = pp + range * partial_size;
    double *const total = pt + range * partial_size, *const bias_sums = pb + range * out_width;
    const auto add_part = [&](const Block& block) {
      for (std::int64_t i = block.first * patch; i < (block.first + block.width) * patch; ++i)
        total[i] += std::exchange(sums[i], 0.0f);
    };
    for (std::int64_t b = first_block; b < end_block; ++b) {
      const Block block = block_of(s.out_channels, b);
      std::fill_n(sums + block.first * patch, block.width * patch, 0.0f);
      if (in_parts) std::fill_n(total + block.first * patch, block.width * patch, 0.0);
      std::fill_n(bias_sums + block.first, block.width, 0.0);
    }
    std::int64_t chain = 0;  // positions in sums
    for (std::int64_t n = range * grain; n < end; n += at_once) {
      const std::int64_t images = std::min(at_once, end - n), count = images * s.positions();
      const std::int64_t first = n * s.positions() * s.out_channels, chain_before = chain;
      const float* image = px + n * s.height * s.width * s.in_channels;
      if (copied && planes) image = padded.put_planes(images, s.height, s.width, image);
      else if (copied) image = padded.put(images, s.height, s.width, image);
      for (std::int64_t b = first_block; b < end_block; ++b) {
        const Block block = block_of(s.out_channels, b);
        chain = chain_before;
        const auto begin_part = [&](std::int64_t part) {
          if (chain + part > most_chain) add_part(block), chain = 0;
          chain += part;
        };
        const auto pack = [&](std::int64_t begin, std::int64_t part) {
          const std::int64_t from = first + begin * s.out_channels;
          pack_gradients(block, part, s.out_channels, pdy + from, py ? py + from : nullptr, gradient,
                         bias_sums + block.first);
        };
        float* const block_sums = sums + block.first * patch;
        if (few && dweight.defined())
          patches.for_each(image, positions, count, [&](const float* from, std::int64_t begin, std::int64_t part) {
            begin_part(part);
            pack(begin, part);
            add_product(outputs, gradient_rows.data(), part, gradient, from, patches.width(), block_sums);
          });
        else
          for_each_part(count, most_depth, [&](std::int64_t begin, std::int64_t part) {
            begin_part(part);
            pack(begin, part);
            if (dweight.defined())
              add_product(taps, positions.data() + begin, part, image, gradient, block.width, block_sums);
          });
      }
    }
    for (std::int64_t b = first_block; in_parts && b < end_block; ++b) {
      const Block block = block_of(s.out_channels, b);
      add_part(block);
      std::copy_n(total + block.first * patch, block.width * patch, sums + block.first * patch);
    }
  });
  float* pdw = dweight.defined() ? dweight.mutable_data<float>() : nullptr;
  float* pdb = dbias.defined() ? dbias.mutable_data<float>() : nullptr;
  const auto add_ranges = [=](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      const Block block = block_of(s.out_channels, b);
      float* total = pp + block.first * patch;  // the first range's
      for (std::int64_t range = 1; range < ranges; ++range)
        for (std::int64_t i = 0; i < patch * block.width; ++i) total[i] += total[range * partial_size + i];
      double* bias = pb + block.first;
      for (std::int64_t range = 1; range < ranges; ++range)
        for (std::int64_t o = 0; o < block.columns; ++o) bias[o] += bias[range * out_width + o];
      for (std::int64_t o = 0; o < block.columns; ++o) {
        if (pdw)
          for (std::int64_t k = 0; k < patch; ++k)
            pdw[(block.first + o) * patch + k] = total[few ? o * whole_vectors(patch) + k : k * block.width + o];
        if (pdb) pdb[block.first + o] = static_cast<float>(bias[o]);
      }
    }
  };
  parallel_for(blocks, rows_per_range(patch * tile_columns * ranges, 1 << 15), add_ranges);
}

}  // namespace mixgrad::kernels::conv2d_tiles
