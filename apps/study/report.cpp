#include "apps/study/report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>

namespace mixgrad::apps {

std::string Comparison::verdict() const {
  if (std::abs(difference->mean) + difference->half < 1e-12 * (1 + std::abs(values.mean))) return "equal";
  const int better = study_measure(measure).better;
  const bool more = difference->mean > 0;
  const char* const seen = better == 0 ? (more ? "higher" : "lower") : (more == (better > 0) ? "helps" : "hurts");
  return text_of(is_seen() ? seen : "no difference seen", p < 0.001 ? ", p < 0.001" : ", p " + with_decimals(p, 3));
}

std::vector<Comparison> compare(const Experiment& experiment, const std::vector<std::uint64_t>& seeds,
                                const StudyResults& results) {
  std::vector<Comparison> all;
  for (const std::string& measure : experiment.measures) {
    std::vector<double> first;
    for (const StudyArm& arm : experiment.arms) {
      std::vector<double> values;
      for (const std::uint64_t seed : seeds) {
        const Measures* const run = results.find(experiment.key, arm.key, seed);
        if (!run || !run->contains(measure)) return {};
        values.push_back(run->at(measure));
      }
      Comparison comparison{measure, arm.key, Statistics(values), {}};
      if (first.empty()) {
        first = values;
      } else if (seeds.size() > 1) {
        for (std::size_t i = 0; i < values.size(); ++i) values[i] -= first[i];
        comparison.difference = Interval(values);
      }
      all.push_back(comparison);
    }
  }
  std::vector<double> p;
  for (const Comparison& comparison : all)  // where a value is nan, nothing is seen
    if (comparison.difference) p.push_back(std::isnan(comparison.difference->p) ? 1 : comparison.difference->p);
  p = holm(p);
  auto next = p.begin();
  for (Comparison& comparison : all)
    if (comparison.difference) comparison.p = *next++;
  return all;
}

std::string number(double value) {
  const double size = std::abs(value);
  if (size >= 10 && value == std::round(value)) return text_of(std::fixed, std::setprecision(0), value);
  if (size > 0 && size < 5e-5) return text_of(std::scientific, std::setprecision(1), value);
  return with_decimals(value, 4);
}

std::string difference_text(const Interval& difference) {
  return (difference.mean < 0 ? "" : "+") + number(difference.mean) + " +- " + number(difference.half);
}

const StudyArm& arm_of(const Experiment& experiment, const std::string& key) {
  const auto found = std::ranges::find(experiment.arms, key, &StudyArm::key);
  check(found != experiment.arms.end(), "study: ", experiment.key, " has no ", key);
  return *found;
}

std::string study_report(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds,
                         const StudyResults& results) {
  std::string text =
      "Differences are those of the means, paired by seed, with their 95 % intervals. A verdict is drawn at p < 0.05, "
      "after Holm's correction for all comparisons of an experiment; an interval, which is not corrected, may exclude "
      "0 "
      "without one.\n\n";
  for (const Experiment& experiment : experiments) {
    const std::vector<Comparison> comparisons = compare(experiment, seeds, results);
    if (comparisons.empty()) continue;
    text += "### " + experiment.key + ": " + experiment.question + "\n\n" + experiment.data.text() + "; " +
            std::to_string(seeds.size()) + " seeds\n\n";
    text += "| measure | variant | mean +- deviation | difference from the first | verdict |\n|---|---|---|---|---|\n";
    std::string last;
    for (const Comparison& of : comparisons) {
      text += "| " + (of.measure == last ? "" : study_measure(of.measure).text) + " | " +
              arm_of(experiment, of.arm).name + " | " + number(of.values.mean);
      if (of.values.deviation > 0) text += " +- " + number(of.values.deviation);
      text += of.difference ? " | " + difference_text(*of.difference) + " | " + of.verdict() + " |\n" : " | | |\n";
      last = of.measure;
    }
    if (!experiment.elsewhere.empty()) text += "\n" + experiment.elsewhere + "\n";
    text += "\n";
  }
  return text;
}

}  // namespace mixgrad::apps
