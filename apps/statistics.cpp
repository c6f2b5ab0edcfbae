#include "apps/statistics.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/check.h"

namespace mixgrad::apps {

Statistics::Statistics(const std::vector<double>& values) {
  check(!values.empty(), "statistics: there are no values");
  const auto n = static_cast<double>(values.size());
  double square = 0;
  mean = 0;
  for (const double value : values) mean += value / n;
  for (const double value : values) square += std::pow(value - mean, 2);
  deviation = std::sqrt(square / (n - 1));
  error = deviation / std::sqrt(n);
}

// A finite series in the cosine of theta = atan(t / sqrt(degrees)): of even powers for even degrees, else of odd ones.
double student_probability(double t, int degrees) {
  check(degrees >= 1 && t >= 0, "student: t ", t, " with ", degrees, " degrees of freedom");
  const double theta = std::atan(t / std::sqrt(degrees)), cosine = std::cos(theta);
  double term = degrees % 2 == 0 ? 1 : cosine, sum = degrees == 1 ? 0 : term;
  for (int k = 2 + degrees % 2; k <= degrees - 2; k += 2) sum += term *= cosine * cosine * (k - 1) / k;
  const double series = std::sin(theta) * sum;
  return degrees % 2 == 0 ? series : 2 / std::numbers::pi * (theta + series);
}

double student_quantile(double probability, int degrees) {
  check(probability >= 0 && probability < 1, "student: a probability of ", probability);
  double low = 0, high = 1;
  while (student_probability(high, degrees) < probability && high < 1e300) high *= 2;
  for (int i = 0; i < 200 && low < high; ++i) {
    const double middle = low + (high - low) / 2;
    (student_probability(middle, degrees) < probability ? low : high) = middle;
  }
  return high;
}

Interval::Interval(const std::vector<double>& values, double probability) {
  check(values.size() >= 2, "interval: of ", values.size(), " values");
  const Statistics of(values);
  const int degrees = static_cast<int>(values.size()) - 1;
  mean = of.mean;
  half = student_quantile(probability, degrees) * of.error;
  p = half;  // nan, where a value is
  if (std::isnan(half)) return;
  const bool all_the_same = of.error <= 1e-9 * std::abs(mean);  // but for rounding
  if (all_the_same) half = 0;
  p = !all_the_same ? 1 - student_probability(std::abs(mean) / of.error, degrees)
      : mean == 0   ? 1
                    : std::pow(2.0, -degrees);
}

std::vector<double> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.size());
  double largest = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    largest = std::max(largest, std::min(1.0, static_cast<double>(p.size() - i) * p[order[i]]));
    adjusted[order[i]] = largest;
  }
  return adjusted;
}

}  // namespace mixgrad::apps
