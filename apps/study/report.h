// From results to differences and verdicts, and a report of them in Markdown.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "apps/statistics.h"
#include "apps/study/results.h"

namespace mixgrad::apps {

// One measure of one arm over the seeds.
struct Comparison {
  std::string measure, arm;  // keys
  Statistics values;
  std::optional<Interval> difference;  // from the first arm, paired by seed; of the others, from two seeds on
  double p = 1;                        // corrected for all comparisons of the experiment (Holm)
  bool is_seen() const { return p < 0.05; }
  // "helps", "hurts", "higher" or "lower", or "no difference seen", with p; "equal", where all that differs is
  // rounding.
  std::string verdict() const;
};

// Measure by measure, and in each arm by arm; nothing where a run is missing.
std::vector<Comparison> compare(const Experiment& experiment, const std::vector<std::uint64_t>& seeds,
                                const StudyResults& results);

// "0.0531"; where four decimals would not show it, "1.1e-16"; whole numbers from 10 on without decimals.
std::string number(double value);
std::string difference_text(const Interval& difference);  // "+0.0031 +- 0.0012"

const StudyArm& arm_of(const Experiment& experiment, const std::string& key);

// A table for each experiment of which all runs are there.
std::string study_report(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds,
                         const StudyResults& results);

}  // namespace mixgrad::apps
