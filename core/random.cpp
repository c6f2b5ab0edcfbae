// Compiled with -ffp-contract=off: a fused multiply-add would change the bits from one machine to the next.
#include "core/random.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/check.h"

namespace mixgrad {
namespace {

constexpr double ln2_high = 0x1.62e42fefa0000p-1;  // the leading 37 bits: k * ln2_high is exact for |k| < 2^11
constexpr double ln2_low = 0x1.cf79abc9e3b3ap-40;  // ln 2 - ln2_high

}  // namespace

namespace portable {

// x = 2^k m with m in [sqrt(1/2), sqrt 2); log m = 2 artanh(s) with s = (m-1)/(m+1), |s| <= 0.1716.
double log(double x) {
  int k;
  double m = std::frexp(x, &k);  // in [1/2, 1)
  if (m <= 0.7071067811865476) {
    m *= 2;
    --k;
  }
  const double f = m - 1, s = f / (f + 2), z = s * s;
  double series = 0;  // 2 (artanh(s) - s) / s = 2 (z/3 + z^2/5 + ...)
  for (int n = 12; n >= 1; --n) series = z * (series + 2.0 / (2 * n + 1));
  // log m = 2s + s series, and 2s = f - s f: adding the small parts first keeps the rounding error under one ulp.
  return k * ln2_high + (f - (s * (f - series) - k * ln2_low));
}

// x = k ln 2 + r with |r| <= ln(2)/2; exp r by its Taylor series.
double exp(double x) {
  if (x < -745.2) return 0;
  if (x > 709.79) return std::numeric_limits<double>::infinity();
  const int k = static_cast<int>(x * 1.4426950408889634 + (x < 0 ? -0.5 : 0.5));
  const double r = (x - k * ln2_high) - k * ln2_low;
  double series = 1;
  for (int n = 14; n >= 2; --n) series = 1 + r * series / n;
  return std::ldexp(1 + r * series, k);
}

}  // namespace portable

Random::Random(std::uint64_t seed, Purpose purpose, std::uint32_t epoch, std::uint32_t batch, std::uint32_t index)
    : key_{static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)},
      counter_{0, index, batch, (static_cast<std::uint32_t>(purpose) << 24) | epoch} {
  check(epoch < (1u << 24), "random: epoch ", epoch, " exceeds 2^24 - 1");
}

std::uint32_t Random::bits() {
  if (left_ == 0) {
    block_ = philox(counter_, key_);
    ++counter_[0];
    check(counter_[0] != 0, "random: a stream gives at most 2^34 words");
    left_ = 4;
  }
  return block_[static_cast<std::size_t>(4 - left_--)];
}

double Random::uniform() {
  const std::uint64_t high = bits() >> 5, low = bits() >> 6;  // 27 and 26 bits
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

double Random::uniform(double low, double high) {
  check(low <= high && std::isfinite(high - low), "random: uniform from ", low, " to ", high,
        ": needs finite low <= high");
  const double x = low + (high - low) * uniform();
  return x < high ? x : std::nextafter(high, low);  // the sum may have been rounded up
}

// Lemire, "Fast random integer generation in an interval", 2019.
std::uint32_t Random::below(std::uint32_t bound) {
  check(bound > 0, "random: below(0): the bound must be positive");
  std::uint64_t product = std::uint64_t{bits()} * bound;
  if (static_cast<std::uint32_t>(product) < bound) {
    const std::uint32_t rejected = (0u - bound) % bound;
    while (static_cast<std::uint32_t>(product) < rejected) product = std::uint64_t{bits()} * bound;
  }
  return static_cast<std::uint32_t>(product >> 32);
}

double Random::normal() {
  if (std::exchange(has_spare_, false)) return spare_normal_;
  double u, v, square;
  do {
    u = 2 * uniform() - 1;
    v = 2 * uniform() - 1;
    square = u * u + v * v;
  } while (square >= 1 || square == 0);
  const double scale = std::sqrt(-2 * portable::log(square) / square);
  spare_normal_ = v * scale;
  has_spare_ = true;
  return u * scale;
}

double Random::log_gamma_variate(double alpha) {
  // Below 1, Gamma(alpha) = Gamma(alpha + 1) U^(1/alpha).
  double boost = 0;
  if (alpha < 1) {
    alpha = std::max(alpha, 1e-300);  // below, the quotient would overflow, and beta is 0 or 1 all the same
    boost = portable::log(1 - uniform()) / alpha;
    alpha += 1;
  }
  const double d = alpha - 1.0 / 3.0, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = normal(), root = 1 + c * x;
    if (root <= 0) continue;
    const double log_v = 3 * portable::log(root), v = root * root * root;
    if (portable::log(1 - uniform()) < 0.5 * x * x + d * (1 - v + log_v)) return portable::log(d) + log_v + boost;
  }
}

double Random::gamma(double alpha) {
  check(alpha > 0 && std::isfinite(alpha), "random: gamma needs a finite alpha > 0, got ", alpha);
  return portable::exp(log_gamma_variate(alpha));
}

double Random::beta(double a, double b) {
  check(a > 0 && b > 0 && std::isfinite(a) && std::isfinite(b), "random: beta needs finite a, b > 0, got ", a, ", ", b);
  const double log_a = log_gamma_variate(a), log_b = log_gamma_variate(b);
  return 1 / (1 + portable::exp(log_b - log_a));
}

std::vector<std::int32_t> Random::permutation(std::int64_t n) {
  check(n >= 0 && n <= std::numeric_limits<std::int32_t>::max(), "random: a permutation of ", n,
        " elements, not 0 to 2^31 - 1");
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[below(static_cast<std::uint32_t>(i))]);
  return order;
}

RandomState& random_state() {
  static RandomState state;
  return state;
}
void manual_seed(std::uint64_t seed) { random_state() = {.seed = seed}; }
std::uint64_t default_seed() { return random_state().seed; }

}  // namespace mixgrad
