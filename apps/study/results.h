// What the runs measured, as a file that grows: no run is lost or done twice, however the program ends.
#pragma once

#include <map>
#include <string>
#include <tuple>

#include "apps/study/study.h"

namespace mixgrad::apps {

class StudyResults {
 public:
  // Reads the file, if there is one: lines of experiment,arm,seed,measure,value. Throws where it is of other settings,
  // damaged, or not a file of this kind.
  StudyResults(std::string path, const std::string& settings);
  // What a run measured; nothing, if it is not there.
  const Measures* find(const std::string& experiment, const std::string& arm, std::uint64_t seed) const;
  // Replaces the file by one with this run's lines, at once or not at all. Throws where it can't be written.
  void add(const std::string& experiment, const std::string& arm, std::uint64_t seed, const Measures& measures);

 private:
  using Key = std::tuple<std::string, std::string, std::uint64_t>;
  std::string path_, content_;
  std::map<Key, Measures> runs_;
};

}  // namespace mixgrad::apps
