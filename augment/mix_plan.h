// What a mix of pairs draws at random, and nothing else. For mixup, each sample's partner and lambda:
//
//   t_i      ~ Beta(alpha, alpha)                  the share of sample i itself
//   lambda_i = max(t_i, 1 - t_i)                   so that i has the larger share ("dedupe")
//   permutation                                    sample i is mixed with sample permutation[i]
//
// Why max(t, 1 - t): a shuffled batch may pair i with j and j with i. With t = 0.1 for one and 0.9 for the other, both
// mixtures would be the same image; with 0.9 for both they differ.
//
// A plan is drawn before anything is mixed. It can be printed, read back and reused; images and targets are mixed by
// the same plan, so that they cannot disagree; and it is a value on the host, so that it is the same for every device.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

#include "core/random.h"

namespace mixgrad::augment {

enum class LambdaPer { sample, batch };  // one draw for each sample, or (the papers) one for the whole batch

// Who the partners of a batch's samples are.
enum class Pairing {
  shuffle,  // a random permutation
  flip,     // sample i has N - 1 - i, and the other way round
  roll,     // sample i has i + 1, the last has the first
};

struct MixOptions {
  double alpha = 0.4;  // of Beta(alpha, alpha); 0: nothing is mixed, 1: t is uniform
  LambdaPer lambda_per = LambdaPer::sample;
  bool dedupe = true;      // lambda = max(t, 1 - t), or else t
  double probability = 1;  // that a sample, or a batch with one lambda, is mixed at all; else lambda is 1
  Pairing pairing = Pairing::shuffle;
};

struct MixPlan {
  std::vector<float> lambda;              // the share of each sample itself in its target, in [0, 1]
  std::vector<std::int32_t> permutation;  // of 0..N-1; fixed points are allowed
  std::vector<std::int32_t> more = {};    // what else a mix draws, as many integers for each sample: CutMix's boxes

  std::int64_t size() const { return std::ssize(lambda); }
  friend bool operator==(const MixPlan&, const MixPlan&) = default;
};

// Draws mixup's plan for a batch. Throws unless alpha is finite and in 0..1e6, probability in 0..1, and batch_size in
// 0..2^31-1.
MixPlan draw_mix_plan(std::int64_t batch_size, const MixOptions& options, Random& random);

// What the mixes have in common: t ~ Beta(alpha, alpha), or 1 for alpha = 0 and for all but the share `probability` of
// the draws; partners; and their options: checked, throwing with the mix's name, and in words.
double draw_share(double alpha, double probability, Random& random);
std::size_t draw_one_of(const std::vector<double>& weights, Random& random);  // by its share of their sum
std::vector<std::int32_t> draw_partners(std::int64_t batch_size, Pairing pairing, Random& random);
void check_draws(const char* mix, double alpha, double probability);
std::string describe_draws(double probability, Pairing pairing);  // empty for the defaults

// Throws unless lambda is in [0, 1], permutation one of 0..N-1, and `more` the same for each sample.
void check_plan(const MixPlan& plan);

// One line per sample, "0 <- 0.93714261 * 0 + 0.06285739 * 5", with what else was drawn behind a colon, then an empty
// line; reading it back gives the same plan bit for bit, and leaves the stream at the next plan. Reading throws on text
// that is not a plan.
std::ostream& operator<<(std::ostream& out, const MixPlan& plan);
MixPlan read_mix_plan(std::istream& in);

}  // namespace mixgrad::augment
