// CutMix (Yun, Han, Oh, Chun, Choe and Yoo, "CutMix: Regularization strategy to train strong classifiers with
// localizable features", 2019): a box of one image is replaced by the same box of another, and the target is mixed by
// the areas.
//
//   t_i      ~ Beta(alpha, alpha)
//   box_i    from half its height above to half below a uniform centre, and likewise to its sides, clipped to the
//   image,
//            where a half is that of H sqrt(1 - t_i) and W sqrt(1 - t_i), rounded down twice
//   x~_i     = x_j in the box, x_i outside          j = permutation[i]
//   lambda_i = 1 - |box_i| / (H W)                  of the clipped box: what is left of x_i
#pragma once

#include "augment/pair_mix.h"
#include "core/device.h"
#include "core/host_device.h"

namespace mixgrad::augment {

struct CutMixDraws {
  double alpha = 1;                       // of Beta(alpha, alpha); 0: nothing is cut
  LambdaPer box_per = LambdaPer::sample;  // a box for each sample, or (the paper) one for the whole batch
  double probability = 1;                 // that a sample, or a batch with one box, is cut at all
  Pairing pairing = Pairing::shuffle;
};

class CutMix : public PairMix {
 public:
  // Throws unless alpha is finite and in 0..1e6, and probability in 0..1.
  explicit CutMix(const CutMixDraws& options = {});
  std::string description() const override;
  // For images [N, H, W, C]; throws on another rank. plan.more has 4 numbers for each sample: the box is the rows from
  // the first to before the second, and the columns from the third to before the fourth.
  MixPlan draw(const Shape& batch, Random& random) const override;

 private:
  std::int64_t more_per_sample() const override { return 4; }
  void combine_into(const Pairs& pairs, const MixDraw& draw) const override;
  CutMixDraws options_;
};

}  // namespace mixgrad::augment

namespace mixgrad::kernels {
// pairs.x = other in the boxes i32 [4 N], own outside, for images [N, H, W, C].
MIXGRAD_KERNEL(cutmix, const augment::Pairs& pairs, const Tensor& boxes);

// How the images of sample n are combined (augment/pair_mix_kernels.h).
struct CutMixRows {
  static constexpr bool whole = false;
  const std::int32_t* boxes;
  std::int64_t channels;
  MIXGRAD_HOST_DEVICE auto operator()(std::int64_t n) const {
    const std::int32_t* box = boxes + 4 * n;
    return [top = box[0], bottom = box[1], left = box[2] * channels, right = box[3] * channels](
               float a, float b, std::int64_t line, std::int64_t i) {
      return line >= top && line < bottom && i >= left && i < right ? b : a;
    };
  }
};
}  // namespace mixgrad::kernels
