#include "augment/c_mixup.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/check.h"
#include "core/parallel.h"

namespace mixgrad::augment {

NearTargets::NearTargets(const Tensor& targets, double bandwidth) {
  check(is_floating(targets.dtype()) && targets.rank() >= 1 && targets.numel() > 0,
        "C-Mixup: targets must be floating [N, ...] and not empty, got ", name_of(targets.dtype()), targets.shape());
  check(std::isfinite(bandwidth) && bandwidth > 0, "C-Mixup: bandwidth must be above 0, got ", bandwidth);
  size_ = targets.size(0);
  width_ = targets.numel() / size_;
  targets_ = targets.detach().to(cpu).to(DType::f64).to_vector<double>();
  for (double& target : targets_) {
    check(std::isfinite(target / bandwidth), "C-Mixup: a target is ", target, ", in bandwidths ", target / bandwidth);
    target /= bandwidth;
  }
}

std::vector<std::int32_t> NearTargets::draw(std::span<const std::int32_t> samples, Random& random) const {
  std::vector<double> share(samples.size());
  std::ranges::generate(share, [&] { return random.uniform(); });
  std::vector<std::int32_t> partners(samples.size());
  parallel_for(std::ssize(samples), 1, [&](std::int64_t n, std::int64_t) {
    const std::int64_t own = samples[static_cast<std::size_t>(n)];
    check(own >= 0 && own < size_, "C-Mixup: sample ", own, " of ", size_);
    std::vector<double> up_to(static_cast<std::size_t>(size_));  // cumulative weights
    for (std::int64_t k = 0; k < size_; ++k) {
      double square = 0;
      for (std::int64_t c = 0; c < width_; ++c) {
        const double step =
            targets_[static_cast<std::size_t>(own * width_ + c)] - targets_[static_cast<std::size_t>(k * width_ + c)];
        square += step * step;
      }
      up_to[static_cast<std::size_t>(k)] = portable::exp(-square / 2);
    }
    std::partial_sum(up_to.begin(), up_to.end(), up_to.begin());
    const auto chosen = std::ranges::upper_bound(up_to, share[static_cast<std::size_t>(n)] * up_to.back());
    partners[static_cast<std::size_t>(n)] =
        static_cast<std::int32_t>(std::min<std::int64_t>(chosen - up_to.begin(), size_ - 1));
  });
  return partners;
}

}  // namespace mixgrad::augment
