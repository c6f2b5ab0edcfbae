// train_cifar: CIFAR-10 to 94 %, the document's headline, by one of four recipes (apps/cifar_recipe.h). Prints the
// table of each epoch, and what test-time augmentation makes of it.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "apps/cifar_options.h"
#include "apps/output_folder.h"
#include "apps/pictures.h"
#include "apps/program.h"
#include "apps/statistics.h"
#include "apps/training.h"

using namespace mixgrad;
using Options = apps::CifarOptions;

namespace {

// Where the data is: --data, or else $MIXGRAD_DATA/cifar10, or the cache, into which it is downloaded.
std::string find_data(const Options& options) {
  if (!options.data.empty()) return options.data;
  std::error_code ignored;
  if (const char* const folder = std::getenv("MIXGRAD_DATA")) {
    const std::filesystem::path found = std::filesystem::path(folder) / "cifar10";
    if (std::filesystem::is_directory(found, ignored)) return found.string();
    apps::print_line("MIXGRAD_DATA: there is no ", found.string(), "; looking further");
  }
  const data::Url& url = data::url::cifar10_binary;
  const std::filesystem::path cached = std::filesystem::path(data::cache_folder()) / "cifar-10-binary";
  const std::string advice = text_of("; give its folder with --data DIR (", url.address, ", unpacked)");
  if (!std::filesystem::is_directory(cached, ignored)) {
    check(!options.no_download, "CIFAR-10 is not in ", cached.string(), ", and --no-download was given", advice);
    apps::print_line("downloading CIFAR-10 (170 MB) into ", cached.string());
    std::fflush(stdout);
  }
  try {
    return data::untar_data(url);
  } catch (const Error& error) {
    fail("CIFAR-10 cannot be downloaded: ", error.what(), advice);
  }
}

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// The time spent on validating each epoch for the table, which is not part of training.
struct ValidationTime : train::Callback {
  void on_validate_begin(train::Learner&) override { start = Clock::now(); }
  void on_epoch_end(train::Learner& learner) override {
    if (learner.validation) seconds += seconds_since(start);
  }
  Clock::time_point start;
  double seconds = 0;
};

// The accuracy on the test images, with the recipe's test-time augmentation.
double final_accuracy(train::Learner& learner, const apps::CifarRecipe& recipe) {
  if (recipe.tta == 0 && learner.validation) return learner.validation->metrics[0];
  const auto& options = learner.options;
  return train::validate(*learner.model, learner.data.valid, options.loss, options.metrics, options.device,
                         apps::tta_of(recipe))
      .metrics[0];
}

// Whether a share of so many images, rounded to f32, reaches another.
bool reaches(double accuracy, double wanted) { return accuracy >= wanted - 1e-6; }

// Ends training after the first epoch whose accuracy reaches --until. To be added before ValidationTime.
struct Until : train::Callback {
  explicit Until(const Options& options) : options(options) {}
  void on_epoch_end(train::Learner& learner) override {
    if (!learner.validation) return;
    accuracy = final_accuracy(learner, options.recipe);
    if (reaches(*accuracy, options.until)) learner.stop();
  }
  const Options& options;
  std::optional<double> accuracy;  // of the last epoch
};

std::string checkpoint_of(const Options& options, std::uint64_t seed) {
  return apps::checkpoint_path(options, options.recipe.name, seed);
}

apps::Training prepare(const Options& options, const data::DataLoaders& data, std::uint64_t seed,
                       const std::vector<std::shared_ptr<train::Callback>>& callbacks = {}) {
  manual_seed(seed);
  const data::LabelledImages& images = *data.train.dataset().stored();
  const auto count = std::min(options.recipe.whitening_images, data.train.dataset().size());
  const Tensor first = slice(images.images, 0, count).to(cpu).to(DType::f32) / 255.0;
  const nn::Sequential network = apps::make_network(options.recipe, first);
  auto learn =
      apps::make_learner(options.recipe, data.with_seed(seed), network, {.device = options.device, .seed = seed});
  for (const auto& callback : callbacks) learn->add(callback);
  train::Settings settings;
  for (const auto& [name, value] : apps::settings_of(options.recipe)) settings[name] = value;
  return apps::make_training(std::move(learn), options, checkpoint_of(options, seed), settings);
}

void print_results(const std::string& name, const std::vector<double>& accuracies, const std::vector<double>& seconds) {
  apps::print_statistics(name, "accuracy", accuracies);
  const apps::Interval of(accuracies);
  std::printf("%s: 95 %% interval of the mean accuracy %.5f to %.5f; %s each\n", name.c_str(), of.mean - of.half,
              of.mean + of.half, apps::minutes(apps::Statistics(seconds).mean).c_str());
}

// What a training from one seed came to; empty after Ctrl-C.
struct Result {
  double accuracy, seconds;
  std::vector<train::EpochRecord> epochs;
};
std::optional<Result> train_seed(const Options& options, const data::DataLoaders& data, std::uint64_t seed,
                                 const std::string& metrics, bool append) {
  const Clock::time_point start = Clock::now();
  apps::print_line("recipe ", options.recipe.name, ", seed ", seed);
  const auto until = std::make_shared<Until>(options);
  const auto validations = std::make_shared<ValidationTime>();
  std::vector<std::shared_ptr<train::Callback>> callbacks;
  if (options.until > 0) callbacks.push_back(until);
  callbacks.push_back(validations);
  const apps::Training training = prepare(options, data, seed, callbacks);
  train::Learner& learn = *training.learn;
  const bool resumed = learn.start().has_value();
  apps::train_once(training, options, options.recipe.epochs, {}, checkpoint_of(options, seed), metrics,
                   {.labels = {{"run", options.recipe.name}, {"seed", std::to_string(seed)}}, .append = append},
                   "try fewer --epochs or another --recipe");
  apps::save_weights(training, options, {{"recipe", options.recipe.name}, {"dataset", "CIFAR-10"}});
  if (training.interrupted()) return {};
  const std::vector<train::EpochRecord>& epochs = learn.recorder->epochs();
  const double accuracy = until->accuracy ? *until->accuracy : final_accuracy(learn, options.recipe);
  const double whole = seconds_since(start), counted = whole - validations->seconds;
  std::printf("seed %llu: accuracy %.4f", static_cast<unsigned long long>(seed), accuracy);
  if (options.recipe.tta > 0 && !epochs.empty())
    std::printf(" (%.4f without test-time augmentation)", epochs.back().metrics[0]);
  std::printf(", %s of whitening, training and evaluation (%s with the validation of each epoch)%s\n",
              apps::minutes(counted).c_str(), apps::minutes(whole).c_str(), resumed ? " since it was resumed" : "");
  std::fflush(stdout);  // for whoever reads along in a file
  return Result{accuracy, counted, epochs};
}

// Returns the exit code: 0, 1 where --until was not reached, or 130 after Ctrl-C.
int run(const Options& options) {
  if (options.show_recipe) {
    for (const auto& [name, value] : apps::settings_of(options.recipe))
      std::printf("%-18s %s\n", name.c_str(), value.c_str());
    return 0;
  }
  apps::use_threads("train_cifar", options.threads);
  if (!options.save.empty()) check_can_write_atomically(options.save);
  const data::DataLoaders data =
      data::cifar10(find_data(options), {.batch_size = options.recipe.batch_size, .valid_batch_size = 500})
          .to(options.device);
  std::vector<std::uint64_t> seeds;
  std::vector<std::string> checkpoints;
  for (int i = 0; i < options.seeds; ++i) {
    seeds.push_back(options.seed + static_cast<std::uint64_t>(i));
    checkpoints.push_back(checkpoint_of(options, seeds.back()));
  }
  if (options.resume)
    apps::check_checkpoints(options, checkpoints, [&](std::size_t i) { return prepare(options, data, seeds[i]); });
  const std::string metrics =
      options.out.empty() ? "" : apps::start_output_folder(options, {checkpoints.begin(), checkpoints.end()});
  std::vector<double> accuracies, seconds;
  std::vector<apps::RunCurves> curves;
  bool all_reached = true;
  for (const std::uint64_t seed : seeds) {
    const std::optional<Result> result = train_seed(options, data, seed, metrics, !accuracies.empty());
    if (!result) {
      if (options.checkpoint_every) std::printf("the same command with --resume continues from the last checkpoint\n");
      return 130;
    }
    if (options.until > 0 && !reaches(result->accuracy, options.until)) {
      all_reached = false;
      std::printf("--until: %g was not reached\n", options.until);
    }
    std::printf("\n");
    if (accuracies.empty() && !result->epochs.empty()) curves.push_back({options.recipe.name, result->epochs});
    accuracies.push_back(result->accuracy);
    seconds.push_back(result->seconds);
  }
  if (accuracies.size() > 1) print_results(options.recipe.name, accuracies, seconds);
  if (!options.out.empty() && !curves.empty())
    apps::announce(apps::write_curves, apps::in_output(options, "curves.png"), curves,
                   "CIFAR-10, recipe " + options.recipe.name);
  if (!metrics.empty()) apps::print_line("wrote ", metrics);
  return all_reached ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_program("train_cifar", [&] {
    Options options;
    return apps::parse(argc, argv, options) ? run(options) : 0;
  });
}
