// What trainings came to, as a file that grows: none is lost or done twice, however the program ends.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "apps/study.h"

namespace mixgrad::apps {

class StudyResults {
 public:
  // Reads the file, if there is one. Throws where it is of other settings, or none of this program's.
  StudyResults(std::string path, const std::string& settings);
  const Measures* find(const std::string& experiment, const std::string& arm, std::uint64_t seed) const;
  // Replaces the file by one with a line more, at once or not at all. Throws where it can't be written.
  void add(const std::string& experiment, const std::string& arm, std::uint64_t seed, const Measures& measures);

 private:
  using Key = std::tuple<std::string, std::string, std::uint64_t>;
  std::string path_, content_;
  std::map<Key, Measures> runs_;
};

// The report as Markdown: a table for each experiment, of all measures that are compared, arm by arm: mean +-
// deviation, the difference to the first arm with its 95 % interval, paired by seed, and a verdict, by p values that
// are corrected for the number of comparisons in the experiment (Holm). Only of experiments whose trainings are all
// there.
std::string study_report(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds,
                         const StudyResults& results);

}  // namespace mixgrad::apps
