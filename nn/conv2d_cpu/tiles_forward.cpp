// Forward by tiles (core/tile.h): neighbouring outputs by channels, summed in registers over the pixels under the
// kernel. The windows of neighbours overlap, and no copy of the patches is made.
//
//   padded image                    depth (u, v, c)       weights, as [(u, v, c), o]      y
//
//     [ p p p ] q . . .           output p   x x x x         w w w w w w w w           y y y y y y y y
//     [ p p p ] q . . .     ->    output q   x x x x    *    w w w w w w w w     =     y y y y y y y y
//     [ p p p ] q . . .                                      w w w w w w w w
//                                                            w w w w w w w w
#include "nn/conv2d_cpu/tile_layout.h"

namespace mixgrad::kernels::conv2d_tiles {
namespace {

// Outputs [count, out] as products of patches [count, width] and weights [out, width].
void forward_of_few_outputs(std::int64_t count, std::int64_t out, std::int64_t width, bool relu, const float* patches,
                            const float* weight, const float* bias, float* y) {
  for (std::int64_t p = 0; p < count; ++p, patches += width)
    for (std::int64_t o = 0; o < out; ++o) {
      Vector products{};
      for_each_part(width / lanes, 64, [&](std::int64_t first, std::int64_t count) {
        Vector part{};
        for (std::int64_t k = first * lanes; k < (first + count) * lanes; k += lanes)
          part += load(patches + k) * load(weight + o * width + k);
        products += part;
      });
      const float value = (bias ? bias[o] : 0.0f) + horizontal_sum(products);
      *y++ = relu && value <= 0 ? 0.0f : value;
    }
}

}  // namespace

void forward(const Conv2dShape& s, const Tensor& x, const Tensor& weight, const Tensor& bias, Out y) {
  const std::int64_t patch = s.patch(), blocks = num_blocks(s.out_channels), at_once = images_at_once(s);
  const bool few = by_patches(s);
  const Border border = padded_input(s);
  const BorderedImages padded(border, s.padding > 0 ? at_once : 0);
  const CopiedPatches patches(s, border);
  const Offsets positions = positions_of(s, border, at_once), taps = patch_of(s, border);
  const Offsets outputs = line(most_rows(1), s.out_channels);
  const float* px = x.data<float>();
  const float* pw = weight.data<float>();
  const float* pb = bias.defined() ? bias.data<float>() : nullptr;
  float* py = y.mutable_data<float>();
  const Scratch<> packed(few ? s.out_channels * whole_vectors(patch) : patch * whole_vectors(s.out_channels));
  float* pp = packed.data();
  if (few) copy_panel(false, s.out_channels, patch, pw, patch, pp);
  else
    parallel_for(blocks, rows_per_range(patch * tile_columns, 1 << 15), [=](std::int64_t begin, std::int64_t end) {
      for (std::int64_t b = begin; b < end; ++b) {
        const Block block = block_of(s.out_channels, b);
        copy_panel(true, patch, block.columns, pw + block.first * patch, patch, pp + block.first * patch);
      }
    });
  parallel_for(s.batch, images_per_range(s, at_once, 64), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t n = begin; n < end; n += at_once) {
      const std::int64_t images = std::min(at_once, end - n), count = images * s.positions();
      const float* image = px + n * s.height * s.width * s.in_channels;
      if (s.padding > 0) image = padded.put(images, s.height, s.width, image);
      float* out = py + n * s.positions() * s.out_channels;
      if (few) {
        patches.for_each(image, positions, count, [&](const float* from, std::int64_t first, std::int64_t n) {
          forward_of_few_outputs(n, s.out_channels, patches.width(), s.relu, from, pp, pb,
                                 out + first * s.out_channels);
        });
        continue;
      }
      for (std::int64_t b = 0; b < blocks; ++b) {
        const Block block = block_of(s.out_channels, b);
        const float* const panel = pp + block.first * patch;
        const float* const start = pb ? pb + block.first : nullptr;
        for_each_part(count, most_rows(block.columns), [&](std::int64_t first, std::int64_t rows) {
          float* const c = out + first * s.out_channels + block.first;
          if (is_product(s))  // without offsets
            multiply(EvenTileProduct{.a = image + first * patch,
                                     .a_row = patch,
                                     .a_step = 1,
                                     .b = panel,
                                     .b_row = block.width,
                                     .start = start,
                                     .c = c,
                                     .c_row = s.out_channels,
                                     .rows = rows,
                                     .columns = block.columns,
                                     .depth = patch,
                                     .relu = s.relu});
          else
            multiply(TileProduct{.a = image,
                                 .a_rows = positions.data() + first,
                                 .a_steps = taps.data(),
                                 .b = panel,
                                 .b_row = block.width,
                                 .start = start,
                                 .c = c,
                                 .c_rows = outputs.data(),
                                 .rows = rows,
                                 .columns = block.columns,
                                 .depth = patch,
                                 .relu = s.relu});
        });
      }
    }
  });
}

}  // namespace mixgrad::kernels::conv2d_tiles
