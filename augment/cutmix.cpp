#include "augment/cutmix.h"

#include <algorithm>
#include <cmath>

#include "augment/pair_mix_kernels.h"

namespace mixgrad::augment {

CutMix::CutMix(const CutMixDraws& options) : options_(options) {
  check_draws("cutmix", options.alpha, options.probability);
}

std::string CutMix::description() const {
  return text_of("cutmix: alpha ", options_.alpha, ", one box per ",
                 options_.box_per == LambdaPer::batch ? "batch" : "sample",
                 describe_draws(options_.probability, options_.pairing));
}

MixPlan CutMix::draw(const Shape& batch, Random& random) const {
  check(batch.rank() == 4, "cutmix: images must be [N, H, W, C], got ", batch);
  const std::int64_t n = batch[0], height = batch[1], width = batch[2];
  // From and to, along an axis.
  const auto draw_side = [&](std::int64_t extent, double share) {
    const auto half = static_cast<std::int64_t>(static_cast<double>(extent) * share) / 2;
    const std::int64_t centre = random.below(static_cast<std::uint32_t>(extent));
    return std::pair{std::max<std::int64_t>(centre - half, 0), std::min(centre + half, extent)};
  };
  MixPlan plan;
  for (std::int64_t i = 0; i < n; ++i) {
    if (i == 0 || options_.box_per == LambdaPer::sample) {
      const double share = std::sqrt(1 - draw_share(options_.alpha, options_.probability, random));
      const auto [top, bottom] = draw_side(height, share);
      const auto [left, right] = draw_side(width, share);
      for (const std::int64_t edge : {top, bottom, left, right}) plan.more.push_back(static_cast<std::int32_t>(edge));
      const double box = static_cast<double>((bottom - top) * (right - left));
      plan.lambda.push_back(static_cast<float>(1 - box / static_cast<double>(height * width)));
    } else {
      for (int edge = 0; edge < 4; ++edge) plan.more.push_back(plan.more[static_cast<std::size_t>(edge)]);
      plan.lambda.push_back(plan.lambda[0]);
    }
  }
  plan.permutation = draw_partners(n, options_.pairing, random);
  return plan;
}

void CutMix::combine_into(const Pairs& pairs, const MixDraw& draw) const {
  check(pairs.x.rank() == 4 && pairs.x.dtype() == DType::f32, "cutmix: images must be f32 [N, H, W, C], got ",
        name_of(pairs.x.dtype()), pairs.x.shape());
  dispatch("cutmix", pairs.x.device(), [&](auto device) { kernels::cutmix(device, pairs, draw.more); });
}

}  // namespace mixgrad::augment

void mixgrad::kernels::cutmix(Cpu device, const augment::Pairs& pairs, const Tensor& boxes) {
  const std::int64_t channels = (pairs.stored ? pairs.stored->images : pairs.x).size(3);
  combine_pairs<float>(device, pairs, CutMixRows{boxes.data<std::int32_t>(), channels});
}
