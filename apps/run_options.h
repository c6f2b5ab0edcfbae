// The options that all programs that train have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "mixgrad.h"

namespace CLI {
class App;
}

namespace mixgrad::apps {

struct RunOptions {
  std::string data, out, save;
  std::uint64_t seed = 42;
  int seeds = 1, threads = 0;  // 0: all cores
  Device device = cpu;
  bool resume = false, profile = false;
  std::int64_t checkpoint_every = 0;
};

// --seed --seeds --save --checkpoint-every --resume --profile --device --threads --out
void add_run_options(CLI::App& app, RunOptions& options);
// Throws where they do not fit each other.
void check_run_options(const RunOptions& options);
// Splits the names of some options at blanks.
std::vector<std::string> words(const std::string& text);
// An option that excludes others, by name: with them it is refused.
void exclude(CLI::App& app, const char* option, const std::string& others);

}  // namespace mixgrad::apps
