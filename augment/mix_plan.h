// What mixup draws at random, and nothing else: each sample's partner and lambda.
//
//   t_i      ~ Beta(alpha, alpha)                  the share of sample i itself
//   lambda_i = max(t_i, 1 - t_i)                   so that i has the larger share ("dedupe")
//   permutation                                    sample i is mixed with sample permutation[i]
//
// Why max(t, 1 - t): a shuffled batch may pair i with j and j with i. With t = 0.1 for one and 0.9 for the other, both
// mixtures would be the same image; with 0.9 for both they differ.
//
// A plan is drawn before anything is mixed. It can be printed, read back and reused; images and targets are mixed by
// the same plan, so that they cannot disagree; and it is drawn and kept on the CPU, so that it is the same for every
// device.
#pragma once

#include <cstdint>
#include <iosfwd>

#include "core/random.h"
#include "core/tensor.h"

namespace mixgrad::augment {

enum class LambdaPer { sample, batch };  // one lambda for each sample, or (the paper) one for the whole batch

struct MixOptions {
  double alpha = 0.4;  // of Beta(alpha, alpha); 0: nothing is mixed, 1: t is uniform
  LambdaPer lambda_per = LambdaPer::sample;
  bool dedupe = true;  // lambda = max(t, 1 - t), or else t
};

struct MixPlan {
  Tensor lambda;       // f32 [N], in [0, 1]
  Tensor permutation;  // i32 [N], a permutation of 0..N-1; fixed points are allowed
  std::int64_t size() const { return lambda.numel(); }
};

// Draws a plan for a batch. Throws unless alpha is finite and in 0..1e6, and batch_size in 0..2^31-1.
MixPlan draw_mix_plan(std::int64_t batch_size, const MixOptions& options, Random& random);

// Throws unless lambda is f32 [N] in [0, 1] and permutation i32 [N] a permutation of 0..N-1.
void check_plan(const MixPlan& plan);

// One line per sample, "0 <- 0.93714261 * 0 + 0.06285739 * 5", then an empty line; reading it back gives the same plan
// bit for bit, and leaves the stream at the next plan. Reading throws on text that is not a plan.
std::ostream& operator<<(std::ostream& out, const MixPlan& plan);
MixPlan read_mix_plan(std::istream& in);

}  // namespace mixgrad::augment
