#include "apps/run_options.h"

#include <iterator>
#include <limits>
#include <sstream>

#include "apps/command_line.h"

namespace mixgrad::apps {

void add_run_options(CLI::App& app, RunOptions& o) {
  add_count(app, "--seed", o.seed, 0, std::numeric_limits<std::uint64_t>::max(),
            "seed of weights, shuffling and mixing")
      ->capture_default_str();
  add_count(app, "--seeds", o.seeds, 1, 10000, "train with this many seeds, print mean and standard deviation")
      ->capture_default_str();
  add_path(app, "--save", o.save, "write the weights of the (last) model trained to a safetensors file");
  add_count(app, "--checkpoint-every", o.checkpoint_every, 1, 1000000000,
            "write a checkpoint to --out every N batches");
  app.add_flag("--resume", o.resume, "resume from the checkpoints in --out, bit for bit");
  app.add_flag("--profile", o.profile, "print the time each operation took");
  app.add_option_function<std::string>(
         "--device", [&o](const std::string& name) { o.device = name == "cuda" ? cuda : cpu; },
         "where to train: cpu (default) or cuda, the first GPU")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  add_count(app, "--threads", o.threads, 1, 4096, "default: all cores");
  add_path(app, "--out", o.out, "folder for metrics.csv and pictures");
}

void check_run_options(const RunOptions& options) {
  check(options.seed <= std::numeric_limits<std::uint64_t>::max() - static_cast<std::uint64_t>(options.seeds - 1),
        "--seeds: the last seed would exceed 2^64 - 1");
  check((!options.resume && !options.checkpoint_every) || !options.out.empty(),
        "--checkpoint-every and --resume: need --out DIR, the folder of the checkpoints");
}

std::vector<std::string> words(const std::string& text) {
  std::istringstream list(text);
  return {std::istream_iterator<std::string>(list), {}};
}

void exclude(CLI::App& app, const char* option, const std::string& others) {
  for (const std::string& other : words(others)) app.get_option(option)->excludes(app.get_option(other));
}

}  // namespace mixgrad::apps
