#include "apps/study/results.h"

#include <charconv>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <limits>
#include <span>
#include <sstream>

#include "core/check.h"
#include "core/files.h"

namespace mixgrad::apps {
namespace {

constexpr std::string_view title = "# mixup_study: ";
constexpr const char* header = "experiment,arm,seed,measure,value";

std::vector<std::string> cells_of(const std::string& line) {
  std::vector<std::string> cells;
  std::istringstream text(line + ",");
  for (std::string cell; std::getline(text, cell, ',');) cells.push_back(cell);
  return cells;
}

}  // namespace

StudyResults::StudyResults(std::string path, const std::string& settings)
    : path_(std::move(path)), content_(text_of(title, settings, "\n", header, "\n")) {
  if (!std::filesystem::exists(path_)) return;
  std::ifstream file(path_);
  std::string line;
  std::getline(file, line);
  check(line.starts_with(title), path_, ": not the results of mixup_study");
  check(line.substr(title.size()) == settings, path_, ": results of other settings (",
        printable(line.substr(title.size())), "); give another --out");
  check(std::getline(file, line) && line == header, path_, ": other columns than this version's");
  for (int n = 3; std::getline(file, line); ++n) {
    const std::vector<std::string> cells = cells_of(line);
    check(cells.size() == 5, path_, ": line ", n, " has ", cells.size(), " columns");
    const auto read = [&](const std::string& cell, auto& to) {
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), to);
      check(error == std::errc() && end == cell.data() + cell.size(), path_, ": line ", n, " has ", printable(cell),
            " in place of a number");
    };
    std::uint64_t seed = 0;
    read(cells[2], seed);
    read(cells[4], runs_[{cells[0], cells[1], seed}][cells[3]]);
    content_ += line + "\n";
  }
}

const Measures* StudyResults::find(const std::string& experiment, const std::string& arm, std::uint64_t seed) const {
  const auto found = runs_.find({experiment, arm, seed});
  return found == runs_.end() ? nullptr : &found->second;
}

void StudyResults::add(const std::string& experiment, const std::string& arm, std::uint64_t seed,
                       const Measures& measures) {
  std::string content = content_;
  for (const auto& [name, value] : measures)
    content += text_of(experiment, ",", arm, ",", seed, ",", name, ",",
                       std::setprecision(std::numeric_limits<double>::max_digits10), value, "\n");
  write_file_atomically(path_, {std::as_bytes(std::span(content))}, {.sync = false});
  content_ = content;
  runs_[{experiment, arm, seed}] = measures;
}

}  // namespace mixgrad::apps
