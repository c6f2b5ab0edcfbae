// Statistics of a few seeds: Student's t, intervals, Holm's correction.
#include <doctest/doctest.h>

#include <cmath>

#include "apps/statistics.h"
#include "core/check.h"

using namespace mixgrad;
using namespace mixgrad::apps;

TEST_CASE("statistics: mean, deviation of the sample, error of the mean") {
  const Statistics of({1, 2, 3, 6});
  CHECK(of.mean == doctest::Approx(3));
  CHECK(of.deviation == doctest::Approx(std::sqrt(14.0 / 3)));
  CHECK(of.error == doctest::Approx(std::sqrt(14.0 / 12)));
  CHECK(std::isnan(Statistics({5}).deviation));
  CHECK_THROWS_AS(Statistics({}), Error);
}

TEST_CASE("statistics: Student's quantiles are those of the tables") {
  struct Row {
    int degrees;
    double q95, q99;  // two-sided
  };
  for (const Row& row : {Row{1, 12.706205, 63.656741}, Row{2, 4.302653, 9.924843}, Row{3, 3.182446, 5.840909},
                         Row{4, 2.776445, 4.604095}, Row{5, 2.570582, 4.032143}, Row{9, 2.262157, 3.249836},
                         Row{10, 2.228139, 3.169273}, Row{30, 2.042272, 2.749996}, Row{99, 1.984217, 2.626405}}) {
    CAPTURE(row.degrees);
    CHECK(student_quantile(0.95, row.degrees) == doctest::Approx(row.q95).epsilon(1e-6));
    CHECK(student_quantile(0.99, row.degrees) == doctest::Approx(row.q99).epsilon(1e-6));
    CHECK(student_probability(row.q95, row.degrees) == doctest::Approx(0.95).epsilon(1e-6));
  }
  CHECK(student_quantile(0, 3) < 1e-12);
  CHECK(student_probability(0, 7) == 0);
  CHECK_THROWS_AS(student_quantile(1, 3), Error);
  CHECK_THROWS_AS(student_probability(1, 0), Error);
}

TEST_CASE("statistics: the interval of paired differences, and its p") {
  const Interval of({0.1, 0.2, 0.15, 0.12, 0.3});  // t = .174 / .035721 = 4.8711 with 4 degrees of freedom
  CHECK(of.mean == doctest::Approx(0.174));
  CHECK(of.half == doctest::Approx(2.776445 * 0.0357211));
  CHECK(of.p == doctest::Approx(0.008213).epsilon(1e-3));
  CHECK(Interval({0.1, 0.2, 0.15, 0.12, 0.3}, 0.99).half == doctest::Approx(4.604095 * 0.0357211));
  // The interval has 0 in it just where p is above .05.
  for (const double shift : {-0.2, -0.12, -0.08, 0.0, 0.1}) {
    const Interval moved({0.1 + shift, 0.2 + shift, 0.15 + shift, 0.12 + shift, 0.3 + shift});
    CHECK((std::abs(moved.mean) < moved.half) == (moved.p > 0.05));
  }
  CHECK(Interval({2, 2, 2}).p == 0.25);              // all the same, and not 0: three equal signs
  CHECK(Interval({0.1 + 0.2, 0.3, 0.3}).p == 0.25);  // but for rounding
  CHECK(Interval({0, 0, 0}).p == 1);
  CHECK(std::isnan(Interval({0.1, std::nan(""), 0.3}).p));
  CHECK_THROWS_AS(Interval({1}), Error);
}

TEST_CASE("statistics: Holm's correction, in the order given") {
  CHECK(holm({0.01, 0.04, 0.03, 0.005})[0] == doctest::Approx(0.03));
  CHECK(holm({0.01, 0.04, 0.03, 0.005})[1] == doctest::Approx(0.06));  // not below that of .03
  CHECK(holm({0.01, 0.04, 0.03, 0.005})[2] == doctest::Approx(0.06));
  CHECK(holm({0.01, 0.04, 0.03, 0.005})[3] == doctest::Approx(0.02));
  CHECK(holm({0.6, 0.5}) == std::vector<double>{1, 1});
  CHECK(holm({0.02}) == std::vector<double>{0.02});
  CHECK(holm({}).empty());
}
