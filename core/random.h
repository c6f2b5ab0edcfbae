// Random numbers that are the same on every platform, thread count and device.
//
// A Random is a stream of the counter-based generator Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy
// as 1, 2, 3", SC 2011), named by its use: (seed, purpose, epoch, batch, index). Streams with different names are
// independent, a stream with the same name repeats itself, and making one costs nothing: so no random state has to be
// saved, passed on or drawn in order. The distributions are our own, because those of the standard library, and even
// log, differ between vendors: this file's code uses + - * / and sqrt in double only.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/host_device.h"

namespace mixgrad {

// What a stream is for; part of its name.
enum class Purpose : std::uint8_t {
  general,
  init,
  shuffle,
  mixup,
  synthetic,
  partner_shuffle,
  dropout,
  split,
  transform,
  flip,
  pairing  // what a mix draws beside its plans
};

// The Philox4x32-10 bijection: four random words from a counter and a key.
MIXGRAD_HOST_DEVICE inline std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter,
                                                               std::array<std::uint32_t, 2> key) {
  constexpr std::uint64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = multiplier0 * counter[0], p1 = multiplier1 * counter[2];
    counter = {static_cast<std::uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(p1),
               static_cast<std::uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(p0)};
    key[0] += weyl0;
    key[1] += weyl1;
  }
  return counter;
}

class Random {
 public:
  // Throws when epoch exceeds 2^24 - 1.
  explicit Random(std::uint64_t seed, Purpose purpose = Purpose::general, std::uint32_t epoch = 0,
                  std::uint32_t batch = 0, std::uint32_t index = 0);

  std::uint32_t bits();  // 32 random bits
  double uniform();      // in [0, 1), a multiple of 2^-53
  // In [low, high), or low where they are equal. Throws unless low <= high and both, and their distance, are finite.
  double uniform(double low, double high);
  std::uint32_t below(std::uint32_t bound);  // an integer in [0, bound), without bias; bound > 0
  double normal();                           // mean 0, variance 1 (polar method, Marsaglia and Bray 1964)
  double gamma(double alpha);                // shape alpha > 0, scale 1 (Marsaglia and Tsang 2000)
  // Beta(a, b) in [0, 1], correct from 1e-3 or less to any size: the two gammas are drawn and divided as logarithms,
  // since at small shapes they underflow. Throws unless a and b are finite and positive.
  double beta(double a, double b);
  // 0..n-1 in random order (Fisher and Yates); throws unless 0 <= n <= 2^31 - 1.
  std::vector<std::int32_t> permutation(std::int64_t n);

 private:
  double log_gamma_variate(double alpha);  // the logarithm of gamma(alpha)

  std::array<std::uint32_t, 2> key_;
  std::array<std::uint32_t, 4> counter_;
  std::array<std::uint32_t, 4> block_{};
  int left_ = 0;  // words of block_ not yet used
  double spare_normal_ = 0;
  bool has_spare_ = false;
};

// The seed of everything that is not given its own: weights, shuffling, mixing, dropout. Initial weights, and what
// draws while it computes (core/step_values.h), whose streams have no other name, are numbered in order; setting the
// seed restarts both counts, so that the same program gives the same results.
void manual_seed(std::uint64_t seed);
std::uint64_t default_seed();

// All of this state, so that a checkpoint can resume.
struct RandomState {
  std::uint64_t seed = 42;
  std::uint32_t initializers = 0, streams = 0;  // tensors initialised, and streams drawn from, since manual_seed
};
RandomState& random_state();

namespace portable {
double log(double x);  // for finite x > 0; within 1 ulp of exact, the same bits everywhere
double exp(double x);  // 0 below -745, infinity above 709.78; likewise, within 1.25 ulp
}  // namespace portable

}  // namespace mixgrad
