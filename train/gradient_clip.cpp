#include "train/gradient_clip.h"

#include <cmath>

#include "core/autograd.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/unary.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

double l2_norm(const Tensor& x) {
  const double largest = max(abs(x)).item();
  if (largest == 0 || !std::isfinite(largest)) return largest;
  const Tensor scaled = x / largest;  // the squares of large gradients would overflow
  return largest * std::sqrt(sum(scaled * scaled).item());
}

}  // namespace

GradientClip::GradientClip(double max_norm) : max_norm_(max_norm) {
  check(max_norm > 0, "gradient clip: a largest norm of ", max_norm);
}

std::string GradientClip::description() const { return text_of("GradientClip: max_norm ", max_norm_); }

void GradientClip::on_backward_end(Learner& learner) {
  if (learner.skip_step) return;
  const NoGrad off;
  const Tensor& gradients = learner.optimizer->gradients();
  const double norm = l2_norm(gradients);
  if (std::isfinite(norm) && norm > max_norm_) gradients.copy_(gradients * (max_norm_ / norm));
}

}  // namespace mixgrad::train
