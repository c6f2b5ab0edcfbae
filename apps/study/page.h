// The study as one HTML page, which needs nothing else: no network, no script to be read, any width, printable.
#pragma once

#include <string>
#include <vector>

#include "apps/study/report.h"

namespace mixgrad::apps {

// settings: what the runs were made with, in words; command: with which options, for an experiment's name behind it.
// Cards and tables are of the experiments of which all runs are there.
std::string study_page(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds,
                       const StudyResults& results, const StudySources& sources, const std::string& settings,
                       const std::string& command);

}  // namespace mixgrad::apps
