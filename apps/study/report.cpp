#include "apps/study/report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>

namespace mixgrad::apps {

std::string Comparison::verdict() const {
  if (p >= 0.05) return "no difference seen";
  const int better = study_measure(measure).better;
  if (better == 0) return difference->mean > 0 ? "higher" : "lower";
  return difference->mean * better > 0 ? "helps" : "hurts";
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
  for (const Comparison& comparison : all)
    if (comparison.difference) p.push_back(comparison.difference->p);
  p = holm(p);
  auto next = p.begin();
  for (Comparison& comparison : all)
    if (comparison.difference) comparison.p = *next++;
  return all;
}

std::string number(double value) {
  const double size = std::abs(value);
  if (size >= 100 && value == std::round(value)) return text_of(std::fixed, std::setprecision(0), value);
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
  std::string text;
  for (const Experiment& experiment : experiments) {
    const std::vector<Comparison> comparisons = compare(experiment, seeds, results);
    if (comparisons.empty()) continue;
    text +=
        text_of("### ", experiment.key, ": ", experiment.question, "\n\n", experiment.data.text(), "; ", seeds.size(),
                " seeds, mean +- deviation; difference to the first with its 95 % interval, paired by seed",
                "\n\n| | | | difference | |\n|---|---|---|---|---|\n");
    std::string last;
    for (const Comparison& of : comparisons) {
      text += "| " + (of.measure == last ? "" : study_measure(of.measure).text) + " | " +
              arm_of(experiment, of.arm).name + " | " + number(of.values.mean);
      if (of.values.deviation > 0) text += " +- " + number(of.values.deviation);
      text += of.difference ? " | " + difference_text(*of.difference) + " | " + of.verdict() + " |\n" : " | | |\n";
      last = of.measure;
    }
    text += "\n";
  }
  return text;
}

}  // namespace mixgrad::apps
