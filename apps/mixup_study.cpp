// mixup_study: what mixup does, measured. Runs experiments (apps/study.h), each way of each from several seeds, and
// prints means, differences with their intervals, and verdicts. Stopped at any time, it goes on where it was.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>

#include "apps/command_line.h"
#include "apps/output_folder.h"
#include "apps/program.h"
#include "apps/study_results.h"
#include "apps/training.h"

using namespace mixgrad;

namespace {

struct Options {
  std::string data, out = "study", only;
  std::uint64_t seed = 0;
  int seeds = 5, threads = 0;
  bool quick = false, synthetic = false, list = false;
};

bool parse(int argc, char** argv, Options& o) {
  CLI::App app("Measures what mixup does: experiments, each from several seeds, with intervals and verdicts.");
  apps::add_path(app, "--data", o.data, "folder with MNIST; otherwise $MIXGRAD_DATA/mnist, or ~/.cache/mixgrad/mnist");
  app.add_flag("--synthetic", o.synthetic, "drawn digits instead of MNIST")->excludes("--data");
  apps::add_path(app, "--out", o.out, "folder of results.csv and report.md; what is there is not done again")
      ->capture_default_str();
  app.add_option("--only", o.only, "only experiments whose names begin so")->check(apps::path);
  apps::add_count(app, "--seed", o.seed, 0, 1000000, "the first seed")->capture_default_str();
  apps::add_count(app, "--seeds", o.seeds, 1, 100, "how many seeds")->capture_default_str();
  apps::add_count(app, "--threads", o.threads, 1, 1024, "default: all cores");
  app.add_flag("--quick", o.quick, "each experiment on 300 samples for one epoch: to see that it runs");
  app.add_flag("--list", o.list, "print the experiments and their ways, and stop");
  app.footer(apps::exit_codes);
  return apps::parse_command_line(app, argc, argv);
}

// The folder of MNIST, or empty for drawn digits, which are announced.
std::string find_mnist(const Options& options) {
  if (options.synthetic || !options.data.empty()) return options.data;
  std::error_code ignored;
  std::vector<std::filesystem::path> folders{std::filesystem::path(data::cache_folder()) / "mnist"};
  if (const char* const root = std::getenv("MIXGRAD_DATA"))
    folders.insert(folders.begin(), std::filesystem::path(root) / "mnist");
  for (const auto& folder : folders)
    if (std::filesystem::is_directory(folder, ignored)) return folder.string();
  apps::print_line("MNIST is neither in $MIXGRAD_DATA/mnist nor in ", folders.back().string(),
                   ": drawn digits instead");
  return {};
}

using Clock = std::chrono::steady_clock;

int run(const Options& options) {
  apps::use_threads("mixup_study", options.threads);
  std::vector<apps::Experiment> experiments;
  for (apps::Experiment& experiment : apps::study_experiments(options.quick))
    if (experiment.key.starts_with(options.only)) experiments.push_back(std::move(experiment));
  check(!experiments.empty(), "--only: no experiment begins with ", options.only, "; --list names them");
  if (options.list) {
    for (const apps::Experiment& experiment : experiments) {
      std::printf("%-22s %s; %s\n", experiment.key.c_str(), experiment.question.c_str(),
                  experiment.data.text().c_str());
      for (const apps::StudyArm& arm : experiment.arms)
        std::printf("    %-18s %s\n", arm.key.c_str(), arm.name.c_str());
    }
    return 0;
  }
  const std::string folder = find_mnist(options);
  const apps::StudyImages images = apps::read_study_images(folder);
  apps::take_folder(options.out);
  const auto in_out = [&](const char* name) { return (std::filesystem::path(options.out) / name).string(); };
  apps::StudyResults results(in_out("results.csv"),
                             text_of(options.quick ? "quick, " : "", folder.empty() ? "drawn digits" : "MNIST"));
  std::vector<std::uint64_t> seeds;
  for (int i = 0; i < options.seeds; ++i) seeds.push_back(options.seed + static_cast<std::uint64_t>(i));

  // The work that is left, by samples that go through a network.
  double left = 0, done = 0, seconds = 0;
  const auto work = [&](const apps::Experiment& e) {
    return static_cast<double>(e.data.epochs) * (e.data.samples > 0 ? static_cast<double>(e.data.samples) + 2000
                                                 : e.data.digits.size() == 2 ? 14000.0
                                                                             : 80000.0);
  };
  for (const auto& e : experiments)
    for (const auto& arm : e.arms)
      for (const std::uint64_t seed : seeds) left += results.find(e.key, arm.key, seed) ? 0 : work(e);
  for (const auto& e : experiments)
    for (const auto& arm : e.arms)
      for (const std::uint64_t seed : seeds) {
        if (results.find(e.key, arm.key, seed)) continue;
        const auto interrupt = std::make_shared<train::StopOnInterrupt>();
        const Clock::time_point start = Clock::now();
        const std::optional<apps::Measures> measures = apps::run_study(e, arm, seed, images, interrupt);
        if (!measures) {
          std::printf("stopped; the same command goes on from here\n");
          return 130;
        }
        results.add(e.key, arm.key, seed, *measures);
        const double took = std::chrono::duration<double>(Clock::now() - start).count();
        seconds += took, done += work(e), left -= work(e);
        apps::print_line(e.key, ", ", arm.name, ", seed ", seed, ": accuracy ", measures->at("accuracy"), ", ",
                         apps::minutes(took), "; ", apps::minutes(seconds / done * left), " left");
        std::fflush(stdout);
      }
  const std::string report = apps::study_report(experiments, seeds, results);
  std::printf("\n%s", report.c_str());
  write_file_atomically(in_out("report.md"), {std::as_bytes(std::span(report))});
  apps::print_line("wrote ", in_out("report.md"), " and ", in_out("results.csv"));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_program("mixup_study", [&] {
    Options options;
    return parse(argc, argv, options) ? run(options) : 0;
  });
}
