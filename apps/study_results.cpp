#include "apps/study_results.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <limits>
#include <span>
#include <sstream>

#include "apps/statistics.h"
#include "core/check.h"
#include "core/files.h"

namespace mixgrad::apps {
namespace {

constexpr const char* title = "# mixup_study: ";

std::string header() {
  std::string line = "experiment,arm,seed";
  for (const StudyMeasure& measure : study_measures()) line += "," + measure.name;
  return line;
}

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream text(line + ",");
  for (std::string cell; std::getline(text, cell, ',');) cells.push_back(cell);
  return cells;
}

// One column of an experiment: of each seed, a measure of one arm.
std::vector<double> values_of(const Experiment& experiment, const StudyArm& arm, const std::string& measure,
                              const std::vector<std::uint64_t>& seeds, const StudyResults& results) {
  std::vector<double> values;
  for (const std::uint64_t seed : seeds) values.push_back(results.find(experiment.key, arm.key, seed)->at(measure));
  return values;
}

std::string number(double value) { return text_of(std::fixed, std::setprecision(4), value); }

const StudyMeasure& measure_of(const std::string& name) {
  for (const StudyMeasure& measure : study_measures())
    if (measure.name == name) return measure;
  fail("study: unknown measure ", name);
}

std::string verdict(double difference, double p, int better) {
  if (p >= 0.05) return "no difference seen";
  if (better == 0) return difference > 0 ? "higher" : "lower";
  return difference * better > 0 ? "helps" : "hurts";
}

}  // namespace

StudyResults::StudyResults(std::string path, const std::string& settings)
    : path_(std::move(path)), content_(title + settings + "\n" + header() + "\n") {
  if (!std::filesystem::exists(path_)) return;
  std::ifstream file(path_);
  std::string line;
  std::getline(file, line);
  const std::size_t length = std::char_traits<char>::length(title);
  check(line.starts_with(title), path_, ": not the results of mixup_study");
  check(line.substr(length) == settings, path_, ": results of other settings (", printable(line.substr(length)),
        "); give another --out");
  check(std::getline(file, line) && line == header(), path_, ": other columns than this version's");
  for (int n = 3; std::getline(file, line); ++n) {
    const std::vector<std::string> cells = cells_of(line);
    check(cells.size() == 3 + study_measures().size(), path_, ": line ", n, " has ", cells.size(), " columns");
    const auto read = [&](const std::string& cell, auto& to) {
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), to);
      check(error == std::errc() && end == cell.data() + cell.size(), path_, ": line ", n, " has ", printable(cell),
            " in place of a number");
    };
    std::uint64_t seed = 0;
    read(cells[2], seed);
    Measures measures;
    for (std::size_t i = 3; i < cells.size(); ++i) read(cells[i], measures[study_measures()[i - 3].name]);
    runs_[{cells[0], cells[1], seed}] = measures;
    content_ += line + "\n";
  }
}

const Measures* StudyResults::find(const std::string& experiment, const std::string& arm, std::uint64_t seed) const {
  const auto found = runs_.find({experiment, arm, seed});
  return found == runs_.end() ? nullptr : &found->second;
}

void StudyResults::add(const std::string& experiment, const std::string& arm, std::uint64_t seed,
                       const Measures& measures) {
  std::string line = text_of(experiment, ",", arm, ",", seed);
  for (const StudyMeasure& measure : study_measures())
    line += text_of(",", std::setprecision(std::numeric_limits<double>::max_digits10), measures.at(measure.name));
  const std::string content = content_ + line + "\n";
  write_file_atomically(path_, {std::as_bytes(std::span(content))});
  content_ = content;
  runs_[{experiment, arm, seed}] = measures;
}

std::string study_report(const std::vector<Experiment>& experiments, const std::vector<std::uint64_t>& seeds,
                         const StudyResults& results) {
  std::string text;
  for (const Experiment& experiment : experiments) {
    bool complete = true;
    for (const StudyArm& arm : experiment.arms)
      for (const std::uint64_t seed : seeds) complete &= results.find(experiment.key, arm.key, seed) != nullptr;
    if (!complete) continue;
    struct Row {
      std::string measure, arm, value, difference;
      double change = 0, p = 1;
      int better = 0;
      bool compared = false;
    };
    std::vector<Row> rows;
    std::vector<double> p;
    for (const std::string& name : experiment.measures)
      for (std::size_t i = 0; i < experiment.arms.size(); ++i) {
        const auto values = [&](std::size_t k) {
          return values_of(experiment, experiment.arms[k], name, seeds, results);
        };
        const Statistics of(values(i));
        Row row{measure_of(name).text, experiment.arms[i].name, number(of.mean) + " +- " + number(of.deviation), ""};
        if (i > 0 && seeds.size() > 1) {
          std::vector<double> differences = values(i);
          const std::vector<double> first = values(0);
          for (std::size_t s = 0; s < differences.size(); ++s) differences[s] -= first[s];
          const Interval interval(differences);
          row.difference = (interval.mean < 0 ? "" : "+") + number(interval.mean) + " +- " + number(interval.half);
          row.change = interval.mean;
          row.better = measure_of(name).better;
          row.compared = true;
          p.push_back(interval.p);
        }
        rows.push_back(row);
      }
    const std::vector<double> corrected = holm(p);
    text += "### " + experiment.key + ": " + experiment.question + "\n\n" + experiment.data.text() +
            text_of("; ", seeds.size(),
                    " seeds, mean +- deviation; difference to the first with its 95 % interval, "
                    "paired by seed\n\n| | | | difference | |\n|---|---|---|---|---|\n");
    std::size_t next = 0;
    std::string last;
    for (const Row& row : rows) {
      text += "| " + (row.measure == last ? "" : row.measure) + " | " + row.arm + " | " + row.value + " | " +
              row.difference + " | " + (row.compared ? verdict(row.change, corrected[next++], row.better) : "") +
              " |\n";
      last = row.measure;
    }
    text += "\n";
  }
  return text;
}

}  // namespace mixgrad::apps
