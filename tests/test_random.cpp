// Random streams: known answers, golden bits, moments, and the portable log and exp below them.
//
// Moments are compared with a tolerance of five standard errors, which are exact here because the fourth moments of
// these distributions are known: a correct sampler would miss one in about a million such bounds, and the seeds are
// fixed, so a bound that holds once holds always.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include "core/check.h"
#include "core/random.h"
#include "tests/not_finite.h"

using namespace mixgrad;
using namespace mixgrad::test;

namespace {

using Words = std::array<std::uint32_t, 4>;
constexpr int num_draws = 100'000;

struct Moments {
  double mean = 0, variance = 0;  // the variance about the mean that is expected
};

template <class Draw>
Moments moments(double expected_mean, Draw draw) {
  Moments result;
  for (int i = 0; i < num_draws; ++i) {
    const double x = draw();
    result.mean += x / num_draws;
    result.variance += (x - expected_mean) * (x - expected_mean) / num_draws;
  }
  return result;
}

// Whether mean and variance agree with those expected, to five standard errors; kurtosis is the fourth central moment
// over the squared variance.
void check_moments(const Moments& drawn, double mean, double variance, double kurtosis) {
  CHECK(std::abs(drawn.mean - mean) <= 5 * std::sqrt(variance / num_draws));
  CHECK(std::abs(drawn.variance - variance) <= 5 * variance * std::sqrt((kurtosis - 1) / num_draws));
}

// |value - exact| in units of the last place of a double near `exact`; infinity for a nan.
double ulps(double value, long double exact) {
  if (std::isnan(value)) return infinity<double>;
  const double magnitude = std::abs(static_cast<double>(exact));
  const double ulp =
      std::max(std::nextafter(magnitude, infinity<double>) - magnitude, std::numeric_limits<double>::denorm_min());
  return static_cast<double>(std::abs(static_cast<long double>(value) - exact)) / ulp;
}

}  // namespace

TEST_CASE("philox: the known answers of its authors") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}) == Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("random: a stream is philox, its name the key and counter") {
  Random random(0x0123456789abcdef, Purpose::mixup, 3, 7, 2);
  for (std::uint32_t block = 0; block < 3; ++block)
    for (const std::uint32_t word : philox({block, 2, 7, (3u << 24) | 3}, {0x89abcdef, 0x01234567}))
      CHECK(random.bits() == word);
}

TEST_CASE("random: golden bits, the same on every machine") {
  const auto check_golden = [](auto draw, std::initializer_list<double> golden) {
    Random random(42);
    for (const double expected : golden) CHECK(draw(random) == expected);
  };
  check_golden([](Random& r) { return r.uniform(); },
               {0x1.39d5e09dfd524p-1, 0x1.2bf50aae85678p-4, 0x1.f9b64254ee9b3p-1, 0x1.071eb4dd1381bp-1});
  check_golden([](Random& r) { return r.normal(); },
               {0x1.71d1e8f071c34p-3, -0x1.5d4cbb1073b1dp-1, 0x1.4030def3a9bddp-2, 0x1.2424c4c02aef6p-7});
  const auto each_alpha = [](auto draw) {
    return [draw, i = 0u](Random& r) mutable {
      constexpr double alphas[] = {1e-3, 0.4, 1, 2.5, 100};
      return draw(r, alphas[i++]);
    };
  };
  check_golden(each_alpha([](Random& r, double alpha) { return r.gamma(alpha); }),
               {0, 0x1.dd2a44e1affaap-4, 0x1.83e1bd86e6a8bp-4, 0x1.adf8166bdbed4p-1, 0x1.54420fdc56617p+6});
  check_golden(each_alpha([](Random& r, double alpha) { return r.beta(alpha, alpha); }),
               {1, 0x1.baf7decade14dp-2, 0x1.57dde97cf983fp-1, 0x1.b224c2d5a3289p-3, 0x1.046741f65ee2p-1});
  CHECK(Random(42).permutation(10) == std::vector<std::int32_t>{7, 3, 8, 9, 1, 5, 2, 0, 4, 6});
}

TEST_CASE("random: the same name repeats the stream, any other name gives another") {
  std::set<std::vector<std::uint32_t>> streams;
  const auto first_words = [](Random random) {
    std::vector<std::uint32_t> words(8);
    std::generate(words.begin(), words.end(), [&] { return random.bits(); });
    return words;
  };
  const Random names[] = {Random(1),
                          Random(2),
                          Random(1ull << 32 | 1),
                          Random(1, Purpose::shuffle),
                          Random(1, Purpose::mixup),
                          Random(1, Purpose::mixup, 1),
                          Random(1, Purpose::mixup, (1u << 24) - 1),
                          Random(1, Purpose::mixup, 0, 1),
                          Random(1, Purpose::mixup, 0, 0, 1),
                          Random(1, Purpose::mixup, 0, ~0u, ~0u)};
  for (const Random& name : names) {
    CHECK(first_words(name) == first_words(name));
    CHECK(streams.insert(first_words(name)).second);
  }
}

TEST_CASE("random: names and parameters out of range are errors") {
  CHECK_THROWS_AS(Random(1, Purpose::general, 1u << 24), Error);
  Random random(1);
  for (const double bad : {0.0, -1.0, infinity<double>, not_a_number<double>}) {
    CAPTURE(bad);
    CHECK_THROWS_AS(random.gamma(bad), Error);
    CHECK_THROWS_AS(random.beta(bad, 1), Error);
    CHECK_THROWS_AS(random.beta(1, bad), Error);
  }
  CHECK_THROWS_AS(random.below(0), Error);
  CHECK_THROWS_AS(random.permutation(-1), Error);
  CHECK_THROWS_AS(random.permutation(std::int64_t{1} << 31), Error);
}

TEST_CASE("random: uniform is in [0, 1), with the moments of its distribution") {
  Random random(3);
  bool inside = true;
  const Moments drawn = moments(0.5, [&] {
    const double u = random.uniform();
    inside = inside && u >= 0 && u < 1 && u * 0x1p53 == std::floor(u * 0x1p53);
    return u;
  });
  CHECK(inside);
  check_moments(drawn, 0.5, 1.0 / 12, 1.8);
  for (int i = 0; i < 1000; ++i) {
    const double u = random.uniform(-3, -1);
    CHECK((u >= -3 && u < -1));
  }
}

TEST_CASE("random: uniform never reaches the upper end, however coarse the numbers below it are") {
  const double tiny = std::numeric_limits<double>::denorm_min();
  Random random(3);
  const std::pair<double, double> intervals[] = {{1e15, 1e15 + 1}, {-1e15 - 1, -1e15},   {1, 1 + 0x1p-52}, {0, tiny},
                                                 {-tiny, 0},       {0x1p53, 0x1p53 + 2}, {-8e307, 8e307},  {0, 1}};
  for (const auto& interval : intervals) {
    const double low = interval.first, high = interval.second;
    CAPTURE(low);
    CAPTURE(high);
    bool inside = true;
    for (int i = 0; i < 2000; ++i) {
      const double x = random.uniform(low, high);
      inside = inside && x >= low && x < high;
    }
    CHECK(inside);
  }
  CHECK(random.uniform(5, 5) == 5);
  const double inf = infinity<double>, nan = not_a_number<double>;
  for (const auto& [low, high] : std::initializer_list<std::pair<double, double>>{
           {2, 1}, {nan, 1}, {0, nan}, {-inf, 0}, {0, inf}, {inf, inf}, {-1e308, 1e308}})
    CHECK_THROWS_AS(random.uniform(low, high), Error);
}

TEST_CASE("random: normal has the moments of its distribution") {
  Random random(4);
  double fourth = 0;
  const Moments drawn = moments(0, [&] {
    const double x = random.normal();
    fourth += x * x * x * x / num_draws;
    return x;
  });
  check_moments(drawn, 0, 1, 3);
  CHECK(std::abs(fourth - 3) <= 5 * std::sqrt(96.0 / num_draws));  // Var[x^4] = 105 - 9
}

TEST_CASE("random: gamma has mean and variance alpha") {
  for (const double alpha : {0.05, 0.4, 1.0, 2.5, 50.0}) {
    CAPTURE(alpha);
    Random random(5);
    check_moments(moments(alpha, [&] { return random.gamma(alpha); }), alpha, alpha, 3 + 6 / alpha);
  }
}

TEST_CASE("random: Beta(alpha, alpha) has mean 1/2 and variance 1/(4(2 alpha + 1)), and is never nan") {
  for (const double alpha : {1e-3, 1e-2, 0.1, 0.4, 1.0, 2.0, 8.0, 100.0}) {
    CAPTURE(alpha);
    Random random(6);
    bool inside = true;
    const Moments drawn = moments(0.5, [&] {
      const double t = random.beta(alpha, alpha);
      inside = inside && t >= 0 && t <= 1;  // false for nan
      return t;
    });
    CHECK(inside);
    check_moments(drawn, 0.5, 1 / (4 * (2 * alpha + 1)), 3 - 6 / (2 * alpha + 3));
  }
}

TEST_CASE("random: Beta stays a number at the ends of the range of alpha") {
  for (const double tiny : {1e-300, 1e-310, std::numeric_limits<double>::denorm_min()}) {
    CAPTURE(tiny);
    Random random(7);
    int zeros = 0, ones = 0;
    for (int i = 0; i < 100; ++i) {
      const double t = random.beta(tiny, tiny);
      zeros += t == 0;
      ones += t == 1;
    }
    CHECK(zeros + ones == 100);
    CHECK(std::abs(ones - 50) <= 25);  // five deviations of 100 coins
  }
  Random random(7);
  CHECK(std::abs(random.beta(1e300, 1e300) - 0.5) < 1e-12);  // deviation 1e-150, and logarithms of 1e300 to 1e-13
}

TEST_CASE("random: Beta(2, 5) is lopsided the right way") {
  Random random(8);
  const double mean = 2.0 / 7, variance = 10.0 / (49 * 8);
  // kurtosis - 3 = 6 ((a-b)^2 (a+b+1) - ab(a+b+2)) / (ab(a+b+2)(a+b+3))
  const double kurtosis = 3 + 6.0 * (9 * 8 - 10 * 9) / (10 * 9 * 10);
  check_moments(moments(mean, [&] { return random.beta(2, 5); }), mean, variance, kurtosis);
}

TEST_CASE("random: at alpha 0.4, max(t, 1-t) averages .840 and the entropy of t .346") {
  Random random(9);
  double larger = 0, entropy = 0;
  for (int i = 0; i < num_draws; ++i) {
    const double t = random.beta(0.4, 0.4);
    larger += std::max(t, 1 - t) / num_draws;
    if (t > 0 && t < 1) entropy -= (t * std::log(t) + (1 - t) * std::log(1 - t)) / num_draws;
  }
  // E[max^2] = 1/4 + E|t - 1/2| + Var[t] = .7287, so the deviation of max(t, 1-t) is .153; that of the entropy is at
  // most half its range of ln 2.
  CHECK(std::abs(larger - 0.8397576) <= 5 * 0.153 / std::sqrt(num_draws));
  CHECK(std::abs(entropy - 0.3463760) <= 5 * 0.347 / std::sqrt(num_draws));
}

TEST_CASE("random: below is in range and without bias") {
  Random random(10);
  CHECK(random.below(1) == 0);
  std::array<int, 6> counts{};
  for (int i = 0; i < num_draws; ++i) ++counts.at(random.below(6));
  const double expected = num_draws / 6.0;
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - expected) * (count - expected) / expected;
  CHECK(chi_square < 25);  // 5 degrees of freedom: exceeded once in 7,000
  // 3/4 of 2^32. Without rejection, a remainder would fall into the first third half of the time, and a product's high
  // word would be a multiple of three half of the time.
  int first_third = 0, multiples = 0;
  for (int i = 0; i < num_draws; ++i) {
    const std::uint32_t number = random.below(3u << 30);
    first_third += number < (1u << 30);
    multiples += number % 3 == 0;
  }
  for (const int count : {first_third, multiples})
    CHECK(std::abs(count / double{num_draws} - 1.0 / 3) <= 5 * std::sqrt(2.0 / 9 / num_draws));
}

TEST_CASE("random: a permutation holds each number once and moves them by n/3 on average") {
  Random random(11);
  CHECK(random.permutation(0).empty());
  CHECK(random.permutation(1) == std::vector<std::int32_t>{0});
  constexpr int n = 10'000;
  std::vector<std::int32_t> order = random.permutation(n);
  double displacement = 0;
  for (int i = 0; i < n; ++i) displacement += std::abs(order[static_cast<std::size_t>(i)] - i);
  // Diaconis and Graham, 1977: the sum has mean (n^2 - 1)/3 and variance (n + 1)(2 n^2 + 7)/45.
  CHECK(std::abs(displacement - (double{n} * n - 1) / 3) <= 5 * std::sqrt((n + 1.0) * (2.0 * n * n + 7) / 45));
  std::sort(order.begin(), order.end());
  std::vector<std::int32_t> all(n);
  std::iota(all.begin(), all.end(), 0);
  CHECK(order == all);
}

TEST_CASE("random: the six permutations of three are equally likely") {
  Random random(12);
  std::array<int, 6> counts{};
  for (int i = 0; i < 60'000; ++i) {
    const auto order = random.permutation(3);
    ++counts[static_cast<std::size_t>(2 * order[0] + (order[1] > order[2]))];
  }
  double chi_square = 0;
  for (const int count : counts) chi_square += (count - 1e4) * (count - 1e4) / 1e4;
  CHECK(chi_square < 25);  // 5 degrees of freedom: exceeded once in 7,000
}

TEST_CASE("random: manual_seed restarts the sequences of initialisers and of streams") {
  const std::uint64_t before = default_seed();
  manual_seed(7);
  CHECK(default_seed() == 7);
  random_state().initializers = random_state().streams = 2;
  manual_seed(before);
  CHECK(random_state().initializers == 0);
  CHECK(random_state().streams == 0);
}

TEST_CASE("portable: log is within one ulp, from the smallest number to the largest") {
  Random random(13);
  double worst = 0;
  const auto try_at = [&](double x) {
    if (x > 0) worst = std::max(worst, ulps(portable::log(x), std::log(static_cast<long double>(x))));
  };
  for (int i = 0; i < num_draws; ++i) {
    try_at(std::ldexp(1 + random.uniform(), static_cast<int>(random.below(2046)) - 1022));
    try_at(std::ldexp(random.uniform(), -1022 - static_cast<int>(random.below(40))));     // subnormal
    try_at(0.5 + random.uniform());                                                       // near 1
    try_at(1 + std::ldexp(random.uniform() - 0.5, -static_cast<int>(random.below(50))));  // nearer
  }
  try_at(std::numeric_limits<double>::denorm_min());
  try_at(std::numeric_limits<double>::min());
  try_at(std::numeric_limits<double>::max());
  CHECK(worst < 1);
  CHECK(portable::log(1) == 0);
}

TEST_CASE("portable: exp is within 1.25 ulp, down to the subnormals and up to overflow") {
  Random random(14);
  double worst = 0;
  const auto try_at = [&](double x) {
    worst = std::max(worst, ulps(portable::exp(x), std::exp(static_cast<long double>(x))));
  };
  for (int i = 0; i < num_draws; ++i) {
    try_at(random.uniform(-708, 709.78));
    try_at(random.uniform(-746, -708));  // subnormal results
    try_at(std::ldexp(random.uniform() - 0.5, -static_cast<int>(random.below(60))));
  }
  CHECK(worst < 1.25);  // two roundings in the last step of the series, one in the scaling
  CHECK(portable::exp(0) == 1);
  CHECK(std::isfinite(portable::exp(709.782712893384)));
  CHECK(portable::exp(709.782712893385) == infinity<double>);
  CHECK(portable::exp(infinity<double>) == infinity<double>);
  CHECK(portable::exp(-745.13) == std::numeric_limits<double>::denorm_min());
  CHECK(portable::exp(-745.2) == 0);
  CHECK(portable::exp(-infinity<double>) == 0);
}
