#include "nn/normalise.h"

#include <cmath>

#include "core/check.h"
#include "core/pointwise.h"

namespace mixgrad::nn {

Normalise::Normalise(const std::vector<float>& mean, const std::vector<float>& deviation) {
  check(!mean.empty() && mean.size() == deviation.size(), "Normalise: ", mean.size(), " means and ", deviation.size(),
        " deviations");
  for (std::size_t c = 0; c < mean.size(); ++c)
    check(std::isfinite(mean[c]) && std::isfinite(deviation[c]) && deviation[c] > 0, "Normalise: channel ", c,
          " has mean ", mean[c], " and deviation ", deviation[c]);
  const auto channels = static_cast<std::int64_t>(mean.size());
  this->mean = Tensor::from(mean, {channels});
  this->deviation = Tensor::from(deviation, {channels});
}

Tensor Normalise::forward(const Tensor& x) {
  check(x.rank() >= 1 && x.size(-1) == mean.numel(), "Normalise: input ", x.shape(), " must have ", mean.numel(),
        " channels in its last axis");
  return (x - mean) / deviation;
}

void Normalise::visit(Visitor& visitor) {
  visitor.buffer("mean", mean);
  visitor.buffer("deviation", deviation);
}

std::string Normalise::name() const { return "Normalise(" + std::to_string(mean.numel()) + ")"; }

}  // namespace mixgrad::nn
