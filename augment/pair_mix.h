// Mixes of pairs: training on two samples combined into one, which has both labels. What mixup, CutMix and their
// relatives share is here: pairs, targets, and the interface of a mix, which says what it draws and how it combines.
//
//   x~_i = a combination of x_i and x_j            j = permutation[i]
//   y~_i = lambda_i y_i + (1 - lambda_i) y_j       lambda_i: the share of x_i in x~_i
//
// For class indices, y~ need not be built: a loss that is linear in its target, such as cross-entropy, gives the same
// result from both labels (augment/mixup_loss.h). So labels stay indices, and the target is [y, y[permutation],
// lambda].
#pragma once

#include <string>
#include <variant>

#include "augment/mix_plan.h"
#include "core/tensor.h"
#include "data/dataset.h"

namespace mixgrad::augment {

// Two samples' input, not combined (stack_x): for a model that mixes by itself.
struct MixedInput {
  Tensor x, partner;  // [N, ...], the same shape
  Tensor lambda;      // [N]
};

// Two targets for each sample, and the weight of the first (stack_y).
struct MixedTarget {
  Tensor y, partner;  // [N] class indices, or [N, ...]
  Tensor lambda;      // [N]
};

// The type says whether an input or target is mixed; nothing is guessed from a shape.
using Input = std::variant<Tensor, MixedInput>;
using Target = std::variant<Tensor, MixedTarget>;

// Both sides, to be combined later. Throws unless the plan is for N samples and both batches have the same shape.
MixedInput stack_input(const Tensor& x, const Tensor& partners, const MixPlan& plan);
MixedTarget mixed_target(const Tensor& y, const MixPlan& plan);
// The same with j taken from a second batch.
MixedTarget mixed_target(const Tensor& y, const Tensor& partners, const MixPlan& plan);

// A plan in the memory of a device.
struct MixDraw {
  MixDraw(const MixPlan& plan, Device device);
  MixDraw(Tensor lambda, Tensor more) : lambda(std::move(lambda)), more(std::move(more)) {}
  Tensor lambda;  // f32 [N]
  Tensor more;    // i32 [k N]
};

struct MixedBatch {
  Tensor x;       // f32 [N, H, W, channels]
  MixedTarget y;  // the labels of both sides, i32 [N], and lambda
};

// Pairs of samples, in one of two forms, and where their combinations are to be written.
struct Pairs {
  const data::LabelledImages* stored = nullptr;
  Tensor own, other;            // the samples [N, ...]; or, of images that are stored, their indices i32 [N]
  Tensor x;                     // [N, ...], written
  Tensor y = {}, partner = {};  // of images that are stored, the labels of both i32 [N], written
};

class PairMix {
 public:
  virtual ~PairMix() = default;
  // Its name and options, in words: "mixup: alpha 0.4, ...".
  virtual std::string description() const = 0;
  // The plan for a batch of this shape, [N, ...]. May be called by several threads at once, each with its Random.
  virtual MixPlan draw(const Shape& batch, Random& random) const = 0;
  // x~ from x and the partners of its samples, f32 or f64 [N, ...] in the same order, in a new tensor; no gradient
  // flows.
  Tensor combine(const Tensor& x, const Tensor& partners, const MixDraw& draw) const;
  // The same for images in memory, in one pass over their bytes, without the two batches, and the same bits: sample
  // indices_n with sample partners_n, i32 [N] on the images' device. Throws on other shapes, and when an index is out
  // of range; on the GPU, when the host next waits for the device.
  MixedBatch gather(const data::LabelledImages& stored, const Tensor& indices, const Tensor& partners,
                    const MixDraw& draw) const;

 private:
  virtual std::int64_t more_per_sample() const { return 0; }  // numbers in MixPlan::more
  virtual void combine_into(const Pairs& pairs, const MixDraw& draw) const = 0;
  void check_draw(const MixDraw& draw, std::int64_t samples, Device device) const;
};

}  // namespace mixgrad::augment
