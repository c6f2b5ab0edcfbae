// Batch transforms: random changes of images, so that a model sees each a little differently in every epoch.
//
// A transform is two functions: the host draws a table, a short row of values for each image; a kernel on either device
// applies it. So the changes can be decided ahead of the batch, printed and repeated:
//
//   const data::Transform crop = data::random_crop({.padding = 2});
//   Tensor y = crop(x, random);  // or, for samples `indices` of the data, 28 x 28 pixels each:
//   std::vector<float> table = crop.draw({.indices = indices, .height = 28, .width = 28, .pass = pass}, random);
//   y = crop.apply(x, Tensor::from(table, {std::ssize(table)}).to(x.device()));
//
// For training only (train/transform_callback.h). What applies to every input, also in validation and prediction, is a
// layer of the model instead: nn/normalise.h.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/random.h"
#include "core/tensor.h"

namespace mixgrad::data {

// What a table may depend on, besides random draws.
struct DrawContext {
  std::span<const std::int32_t> indices = {};  // of the batch's samples in the data
  std::int64_t height = 0, width = 0;          // of the images, in pixels
  std::uint32_t pass = 0;                      // over the data
  std::uint64_t seed = default_seed();         // of draws that depend on the sample alone, not on its batch
};

// The parts of a planned transform.
struct TransformPlan {
  std::string name = {}, options = {};  // "random_crop", "padding 4, border zero"
  std::int64_t columns = 0;             // values in an image's row of the table
  // Draws the row of image n of the batch; called for each in order.
  std::function<void(const DrawContext& context, std::size_t n, Random& random, std::span<float> row)> draw = {};
  // New images, from x f32 [N, H, W, C] and the table f32 on the same device.
  std::function<Tensor(const Tensor& x, const Tensor& table)> apply = {};
};

// Maps images x f32 [N, H, W, C] to new ones; x is unchanged, and no gradient flows. The transforms below keep the
// shape and give the same bits on both devices, with any number of threads.
class Transform {
 public:
  using Function = std::function<Tensor(const Tensor& x, Random& random)>;

  Transform() = default;          // empty, as from an empty function
  Transform(TransformPlan plan);  // throws unless it has columns and both functions
  // Any function of a batch is a transform too, but not a planned one: it draws as it works.
  template <class F>
  requires(!std::same_as<std::remove_cvref_t<F>, Transform> &&
           std::is_invocable_r_v<Tensor, F&, const Tensor&, Random&>) Transform(F&& function)
      : function_(std::forward<F>(function)) {}

  explicit operator bool() const { return plan_ || function_; }
  bool is_planned() const { return plan_ != nullptr; }
  const void* identity() const { return plan_.get(); }  // of a planned one and its copies
  std::string description() const;  // "random_crop: padding 4, border zero"; "a function" if not planned

  // The table, row after row. Throws unless the transform is planned, 1 <= height, width <= 2^24 and an image has fewer
  // than 2^31 pixels.
  std::vector<float> draw(const DrawContext& context, Random& random) const;
  // Throws unless the transform is planned, x is f32 [N, H, W, C], with the same limits, and the table has N rows, as
  // f32 of any shape on x's device. A table for other images never reads outside x.
  Tensor apply(const Tensor& x, const Tensor& table) const;
  // Draws a table, for samples 0..N-1 in pass 0, and applies it. A plain function is called.
  Tensor operator()(const Tensor& x, Random& random) const;

 private:
  const TransformPlan& plan() const;

  std::shared_ptr<const TransformPlan> plan_;
  Function function_;
};

enum class Border { zero, reflect };

struct RandomCropOptions {
  std::int64_t padding = 4;  // in pixels, on all four sides
  Border border = Border::zero;
};
// A random window of H x W, uniform among the (2 padding + 1)^2 of the padded image:
//   y[n, i, j] = x[n, i + dy_n, j + dx_n];  dy, dx ~ U{-padding, ..., padding}, the table's columns.
// Outside, x is 0, or reflected: x[-1] = x[1], x[H] = x[H - 2]. Throws unless 0 <= padding <= 2^20; draw, with a
// reflected border, unless padding < H, W.
Transform random_crop(const RandomCropOptions& options = {});

struct HorizontalFlipOptions {
  double probability = 0.5;
  bool alternating = false;
};
// Mirrors each image left to right with this probability; the table is 1 for yes, 0 for no. Alternating: a sample's
// decision is drawn once and for all, from Random(seed, Purpose::flip, 0, 0, its index), and inverted in odd passes, so
// that two passes show every image both ways (Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024). Throws
// unless 0 <= probability <= 1.
Transform horizontal_flip(const HorizontalFlipOptions& options = {});

struct CutoutOptions {
  std::int64_t size = 8;  // side of the square, in pixels
  float fill = 0;         // its pixels' value; the paper's is the mean of the data
};
// Blanks out a square of each image (DeVries and Taylor, "Improved regularization of convolutional neural networks with
// cutout", 2017): rows cy - size/2 .. cy - size/2 + size - 1 and columns likewise, about a centre that is uniform over
// the image, so that part of the square may be outside. The table has its first row and first column. Throws unless
// 1 <= size <= 2^20 and fill is finite.
Transform cutout(const CutoutOptions& options = {});

struct BrightnessContrastOptions {
  double brightness = 0.1, contrast = 0.1;
  double pivot = 0;  // p, the brightness that contrast leaves as it is, such as the mean of the data
};
// y[n] = p + (x[n] - p + u_n) (1 + v_n) = (x[n] + u'_n) (1 + v_n);  u ~ U(-brightness, brightness), v ~ U(-contrast,
// contrast); u' and v are the table's columns. Throws unless both are in 0..2^20, and contrast below 1 where p is not
// 0.
Transform brightness_contrast(const BrightnessContrastOptions& options = {});

}  // namespace mixgrad::data
