// mixup_study: what mixup does, measured. Runs experiments (study.h), each arm of each from several seeds, and reports
// means, differences with their intervals, and verdicts. Stopped at any time, it goes on where it was.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <span>

#include "apps/command_line.h"
#include "apps/output_folder.h"
#include "apps/program.h"
#include "apps/study/page.h"
#include "apps/study/report.h"
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
  apps::add_path(app, "--data", o.data,
                 "folder with MNIST; otherwise $MIXGRAD_DATA/mnist, or ~/.cache/mixgrad/mnist; CIFAR-10 is looked for "
                 "beside those");
  app.add_flag("--synthetic", o.synthetic, "drawn digits instead of MNIST")->excludes("--data");
  apps::add_path(app, "--out", o.out, "folder of reports and results.csv; what is there is not done again")
      ->capture_default_str();
  app.add_option("--only", o.only, "run only experiments whose names start with this")->check(apps::path);
  apps::add_count(app, "--seed", o.seed, 0, 1000000, "the first seed")->capture_default_str();
  apps::add_count(app, "--seeds", o.seeds, 1, 100, "how many seeds")->capture_default_str();
  apps::add_count(app, "--threads", o.threads, 1, 1024, "default: all cores");
  app.add_flag("--quick", o.quick, "each experiment on 300 samples for one epoch: to see that it runs");
  app.add_flag("--list", o.list, "list the experiments and their variants, then exit");
  app.footer(apps::exit_codes);
  return apps::parse_command_line(app, argc, argv);
}

// The folder of a data set, where it is found: in $MIXGRAD_DATA, or in the cache.
std::string find_data(const char* name, const std::string& in_cache) {
  std::error_code ignored;
  std::vector<std::filesystem::path> folders{std::filesystem::path(data::cache_folder()) / in_cache};
  if (const char* const root = std::getenv("MIXGRAD_DATA"))
    folders.insert(folders.begin(), std::filesystem::path(root) / name);
  for (const auto& folder : folders)
    if (std::filesystem::is_directory(folder, ignored)) return folder.string();
  return {};
}

struct Sources {
  apps::StudySources images;
  std::string text;  // "MNIST, CIFAR-10"
};

// MNIST or drawn digits, and CIFAR-10 where it is. Says what is missing.
Sources read_sources(const Options& options) {
  const std::string mnist = !options.data.empty() ? options.data : options.synthetic ? "" : find_data("mnist", "mnist");
  const std::string cifar10 = options.synthetic ? "" : find_data("cifar10", "cifar-10-binary");
  const auto read = [](auto from, const std::string& folder) {
    return apps::StudyImages{from(folder, data::Split::train), from(folder, data::Split::valid)};
  };
  Sources sources;
  if (!mnist.empty()) {
    sources.images.mnist = read(data::read_mnist, mnist);
    sources.text = text_of("MNIST of ", sources.images.mnist.train.labels.numel(), " images");
  } else {
    if (!options.synthetic)
      apps::print_line("MNIST not found (--help says where it is looked for); drawn digits instead");
    sources.images.mnist = {data::synthetic_digits(20000, 1, data::Split::train),
                            data::synthetic_digits(4000, 1, data::Split::valid)};
    sources.text = "Drawn digits";
  }
  if (!cifar10.empty()) sources.images.cifar10 = read(data::read_cifar10, cifar10);
  else if (!options.synthetic) apps::print_line("CIFAR-10 not found; its experiment is left out");
  return sources;
}

// How long a run takes, in units that are about equal: samples that go through a small network.
double work(const apps::Experiment& experiment) {
  const apps::StudyData& data = experiment.data;
  const bool two = data.digits.size() == 2;
  const double training = data.samples > 0 ? static_cast<double>(data.samples) : two ? 12396.0 : 60000.0;
  const double network = data.cifar10() ? 12 : two ? 1 : 4;
  return network * data.epochs * (training + 2000 / 3.0) + (data.epochs > 0 ? network * (two ? 2000 : 10000) : 0);
}

int list(const std::vector<apps::Experiment>& experiments) {
  for (const apps::Experiment& experiment : experiments) {
    std::printf("%-22s %s; %s\n", experiment.key.c_str(), experiment.question.c_str(), experiment.data.text().c_str());
    for (const apps::StudyArm& arm : experiment.arms) std::printf("    %-18s %s\n", arm.key.c_str(), arm.name.c_str());
  }
  return 0;
}

// One run after the other, of the experiments chosen, unless its results are there. Returns false if stopped.
bool run_missing(const std::vector<apps::Experiment>& experiments, const std::string& only,
                 const std::vector<std::uint64_t>& seeds, const apps::StudySources& sources,
                 apps::StudyResults& results, apps::StudyResults& times) {
  struct Run {
    const apps::Experiment& experiment;
    const apps::StudyArm& arm;
    std::uint64_t seed;
  };
  std::vector<Run> runs;  // arms of one seed stand together, so that their times may be compared
  double left = 0, done = 0, seconds = 0;
  for (const apps::Experiment& experiment : experiments)
    for (const std::uint64_t seed : seeds)
      for (const apps::StudyArm& arm : experiment.arms)
        if (experiment.key.starts_with(only) && !results.find(experiment.key, arm.key, seed)) {
          runs.push_back({experiment, arm, seed});
          left += work(experiment);
        }
  const auto interrupt = std::make_shared<train::StopOnInterrupt>();
  for (const auto& [experiment, arm, seed] : runs) {
    const auto start = std::chrono::steady_clock::now();
    const std::optional<apps::StudyRun> run = apps::run_study(experiment, arm, seed, sources, interrupt);
    if (!run) return false;
    if (run->seconds > 0) times.add(experiment.key, arm.key, seed, {{"seconds", run->seconds}});
    results.add(experiment.key, arm.key, seed, run->measures);
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (work(experiment) > 0) seconds += took;
    done += work(experiment), left -= work(experiment);
    const std::string& first = experiment.measures[0];
    apps::print_line(experiment.key, ", ", arm.name, ", seed ", seed, ": ", apps::study_measure(first).text, " ",
                     apps::number(run->measures.at(first)), ", ", apps::minutes(took),
                     done > 0 ? "; " + apps::minutes(seconds / done * left) + " left" : "");
    std::fflush(stdout);
  }
  return true;
}

// The command that makes the same results, without --out and --only.
std::string command_of(const Options& options) {
  std::string command = "apps/mixup_study.sh";
  if (options.synthetic) command += " --synthetic";
  if (options.quick) command += " --quick";
  if (options.seed != Options{}.seed) command += text_of(" --seed ", options.seed);
  if (options.seeds != Options{}.seeds) command += text_of(" --seeds ", options.seeds);
  return command;
}

int run(const Options& options) {
  apps::use_threads("mixup_study", options.threads);
  std::vector<apps::Experiment> experiments = apps::study_experiments(options.quick);
  const auto is_chosen = [&](const apps::Experiment& experiment) { return experiment.key.starts_with(options.only); };
  check(std::ranges::any_of(experiments, is_chosen), "--only: no experiment starts with ", options.only,
        "; --list names them");
  if (options.list) return list(experiments);
  const Sources sources = read_sources(options);
  if (!sources.images.cifar10)
    std::erase_if(experiments, [](const apps::Experiment& experiment) { return experiment.data.cifar10(); });
  apps::take_folder(options.out);
  const auto in_out = [&](const char* name) { return (std::filesystem::path(options.out) / name).string(); };
  const std::string settings =
      text_of(sources.text, options.quick ? ", quick" : "", ", version ", apps::study_version, " of the study");
  apps::StudyResults results(in_out("results.csv"), settings), times(in_out("times.csv"), settings);
  std::vector<std::uint64_t> seeds;
  for (int i = 0; i < options.seeds; ++i) seeds.push_back(options.seed + static_cast<std::uint64_t>(i));
  if (!run_missing(experiments, options.only, seeds, sources.images, results, times)) {
    std::printf("stopped; run the same command again to resume\n");
    return 130;
  }
  const auto write = [&](const char* name, const std::string& text) {
    write_file_atomically(in_out(name), {std::as_bytes(std::span(text))});
  };
  const std::string report = apps::study_report(experiments, seeds, results);
  std::printf("\n%s", report.c_str());
  write("report.md", report);
  write("report.html", apps::study_page(experiments, seeds, results, sources.images, settings, command_of(options)));
  for (apps::Experiment& experiment : experiments) {
    experiment.measures = {"seconds"};
    experiment.elsewhere.clear();
  }
  write("times.md", apps::study_report(experiments, seeds, times));
  apps::print_line("wrote report.html, report.md, times.md, results.csv and times.csv in ", options.out);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_program("mixup_study", [&] {
    Options options;
    return parse(argc, argv, options) ? run(options) : 0;
  });
}
