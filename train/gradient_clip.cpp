#include "train/gradient_clip.h"

#include <limits>

#include "core/autograd.h"
#include "core/pointwise.h"
#include "core/reduce.h"
#include "core/unary.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

// The factor that brings |x| down to max_norm: a scalar, 1 where |x| is no larger, or not finite.
Tensor clip_factor(const Tensor& x, double max_norm) {
  const Tensor largest = max(abs(x)), one = Tensor::ones({}, x.options());
  const Tensor scaled = x / largest;  // the squares of large gradients would overflow; 0 / 0 is not finite either
  const Tensor norm = largest * sqrt(sum(scaled * scaled));
  const Tensor clipped = where(norm > max_norm, max_norm / norm, one);
  return where(norm < std::numeric_limits<double>::infinity(), clipped, one);
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
  gradients.copy_(gradients * clip_factor(gradients, max_norm_));
}

}  // namespace mixgrad::train
