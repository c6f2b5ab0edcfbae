// Statistics of a few seeds: means, their intervals by Student's t distribution, and tests of several differences at
// once.
#pragma once

#include <vector>

namespace mixgrad::apps {

struct Statistics {
  // Of at least one value; deviation and error are nan for one.
  explicit Statistics(const std::vector<double>& values);
  double mean, deviation, error;  // error: of the mean
};

// P(|T| <= t) of Student's t distribution, exact (Abramowitz and Stegun, "Handbook of mathematical functions", 26.7.3
// and 26.7.4). Throws unless degrees >= 1 and t >= 0.
double student_probability(double t, int degrees);
// The t with P(|T| <= t) = probability. Throws unless 0 <= probability < 1.
double student_quantile(double probability, int degrees);

// The mean of values with the interval mean +- half that covers the true mean with this probability, and p, the
// probability of a mean at least so far from 0 if the true one were 0. Of differences that are paired by seed, this is
// the paired t test; of values that are all the same, whose deviation says nothing, the sign test. Throws on fewer than
// two values; of a nan, all three are nan.
struct Interval {
  explicit Interval(const std::vector<double>& values, double probability = 0.95);
  double mean, half, p;
};

// Holm's correction ("A simple sequentially rejective multiple test procedure", 1979): p values of n comparisons as
// they count when all n are made, in the same order. The smallest is multiplied by n, the next by n - 1, and so on;
// none is below a smaller one's, or above 1.
std::vector<double> holm(const std::vector<double>& p);

}  // namespace mixgrad::apps
