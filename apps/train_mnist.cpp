// train_mnist: fastai's mixup lesson. Trains simple_cnn, or another small model, on the 3s and 7s of MNIST, or on all
// its digits, without and with mixup, and prints the two tables.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "apps/program.h"
#include "apps/train_options.h"
#include "apps/train_outputs.h"
#include "apps/training.h"
#include "mixgrad.h"

using namespace mixgrad;
using Options = apps::TrainOptions;

namespace {

// A model for stacked input: it is given [x, partner, lambda] and mixes by itself.
struct StackedCnn : nn::Sequential {
  explicit StackedCnn(const nn::Sequential& cnn) : nn::Sequential(cnn) {}
  Tensor forward_many(std::span<const Tensor> inputs) override {
    return forward(augment::mix({inputs[0], inputs[1], inputs[2]}));
  }
};

// MNIST from its own files, or from class folders of images below train/ and valid/ (or their other names).
data::DataLoaders load_folder(const Options& options, const data::MnistOptions& mnist) {
  const auto is_there = [&](const char* name) {
    std::error_code ignored;
    return std::filesystem::is_directory(std::filesystem::path(options.data) / name, ignored);
  };
  if (std::ranges::none_of(data::train_folders, is_there)) return data::mnist(options.data, mnist);
  auto data = data::from_folder(options.data, {.batch_size = mnist.batch_size, .seed = mnist.seed});
  std::vector<std::string> digits;
  for (const int digit : mnist.digits) digits.push_back(std::to_string(digit));
  check(data.classes() == digits, "--digits ", options.digit_list(), ": not the class folders of ", options.data);
  return data;
}

data::DataLoaders load(const Options& options) {
  const data::MnistOptions mnist{.digits = options.digits, .batch_size = options.batch_size};
  if (!options.synthetic) return load_folder(options, mnist);
  const data::DataLoaders drawn = data::synthetic_mnist(mnist);
  return options.data.empty() ? drawn : data::DataLoaders{drawn.train, load_folder(options, mnist).valid};
}

// The model, with the weights of --load, if any: a file of --save names their model and digits; one from elsewhere need
// not.
nn::Sequential make_model(const Options& options) {
  const auto classes = std::ssize(options.digits);
  nn::Sequential model = options.model == "lenet"    ? nn::lenet(3, classes)
                         : options.model == "resnet" ? nn::resnet(3, classes)
                                                     : nn::simple_cnn({3, 16, 16, classes});
  if (options.load.empty()) return model;
  const auto metadata = read_safetensors(options.load).metadata;
  const auto require = [&](const std::string& key, const std::string& wanted, const char* option) {
    const auto found = metadata.find(key);
    check(found == metadata.end() || found->second == wanted, options.load, ": its ", key, " is ",
          found == metadata.end() ? "" : printable(found->second), ", not ", wanted, " (", option, ")");
  };
  require("model", options.model, "--model");
  require("classes", options.digit_list(), "--digits");
  nn::load_weights(model, options.load);
  return model;
}

// The learner for a run and seed.
std::unique_ptr<train::Learner> make_learner(const Options& options, const data::DataLoaders& data, bool mixup,
                                             std::uint64_t seed) {
  manual_seed(seed);
  const nn::Sequential cnn = make_model(options);
  const data::DataLoaders seeded = data.with_seed(seed);
  train::LearnerOptions settings{.metrics = {train::accuracy}, .device = options.device, .seed = seed};
  if (options.train_accuracy) settings.train_metrics = {train::mixed_accuracy};
  auto learn = mixup && options.stack_x ? std::make_unique<train::Learner>(seeded, StackedCnn(cnn), settings)
                                        : std::make_unique<train::Learner>(seeded, cnn, settings);
  if (mixup) learn->add(options.mix());
  if (options.one_cycle)
    learn->add(std::make_shared<train::LrSchedule>(train::one_cycle_lr(options.lr), train::one_cycle_momentum()));
  return learn;
}

// A run from one seed.
struct Run {
  bool mixup;
  std::uint64_t seed;
};

std::vector<Run> runs_of(const Options& options) {
  std::vector<Run> runs;
  for (const bool mixup : options.runs())
    for (int i = 0; i < options.seeds; ++i) runs.push_back({mixup, options.seed + static_cast<std::uint64_t>(i)});
  return runs;
}

std::string checkpoint_of(const Options& options, const Run& run) {
  return apps::checkpoint_path(options, options.run_name(run.mixup), run.seed);
}

apps::Training prepare(const Options& options, const data::DataLoaders& data, const Run& run) {
  const auto word = [](bool yes) { return yes ? "yes" : "no"; };
  const train::Settings settings{{"--epochs", std::to_string(options.epochs)},
                                 {"--lr", text_of(options.lr)},
                                 {"--model", options.model},
                                 {"--one-cycle", word(options.one_cycle)},
                                 {"--synthetic", word(options.synthetic)},
                                 {"--train-accuracy", word(options.train_accuracy)}};
  return apps::make_training(make_learner(options, data, run.mixup, run.seed), options, checkpoint_of(options, run),
                             settings);
}

// Trains one model from one seed.
apps::Training train_once(const Options& options, const data::DataLoaders& data, const Run& run,
                          const std::string& metrics, bool append) {
  apps::Training training = prepare(options, data, run);
  train::Learner& learn = *training.learn;
  const train::CsvOptions columns{.labels = {{"run", options.run_name(run.mixup)}, {"seed", std::to_string(run.seed)}},
                                  .append = append};
  apps::train_once(training, options, options.epochs, options.one_cycle ? std::nullopt : std::optional(options.lr),
                   checkpoint_of(options, run), metrics, columns, "try a smaller --lr");
  apps::save_weights(training, options, {{"classes", options.digit_list()}, {"model", options.model}});
  if (!options.out.empty() && run.seed == options.seed && !learn.recorder->epochs().empty())
    apps::output_mistakes(options, learn, options.run_name(run.mixup));
  return training;
}

// Prints the loss at growing learning rates, and a suggestion; draws them into --out.
void find_lr(const Options& options, const data::DataLoaders& data) {
  if (!options.out.empty()) apps::start_lr_output(options);
  const auto learn = make_learner(options, data, options.mixup || options.cutmix, options.seed);
  const train::LrCurve curve = train::lr_find(*learn);
  std::printf("%-10s  loss\n", "lr");
  for (std::size_t i = 0; i < curve.lr.size(); i += 4) std::printf("%-10.2e  %.4f\n", curve.lr[i], curve.loss[i]);
  std::printf("suggestion: --lr %.1e\n", curve.suggestion);
  if (!options.out.empty()) apps::output_lr_curve(options, curve);
}

// Reads a picture of a digit, white on black, and prints the model's prediction.
void predict(const Options& options) {
  nn::Sequential model = make_model(options);
  const Tensor image = data::read_image(options.predict, {.channels = 3});
  check(image.shape() == Shape{28, 28, 3}, options.predict, ": is ", image.size(1), " x ", image.size(0),
        " pixels, the model needs 28 x 28");
  model.eval();
  const Tensor x = reshape(image, {1, 28, 28, 3}).to(DType::f32) / 255.0;
  const auto probability = no_grad([&] { return softmax(model(x)); }).to_vector<float>();
  for (std::size_t i = 0; i < probability.size(); ++i)
    std::printf("%d  %.4f\n", options.digits[i], double{probability[i]});
}

void print_statistics(const std::string& run, const std::vector<train::EpochRecord>& finals) {
  const auto print = [&](const char* name, auto value) {
    std::vector<double> values;
    for (const train::EpochRecord& record : finals) values.push_back(value(record));
    apps::print_statistics(run, name, values);
  };
  print("train_loss", [](const auto& record) { return record.train_loss; });
  print("valid_loss", [](const auto& record) { return record.valid_loss; });
  print("accuracy", [](const auto& record) { return record.metrics.at(0); });
}

// Returns the exit code: 0, or 130 after Ctrl-C.
int run(const Options& options) {
  apps::use_threads("train_mnist", options.threads);
  if (!options.predict.empty()) return predict(options), 0;
  if (!options.save.empty()) check_can_write_atomically(options.save);
  if (!options.load.empty()) make_model(options);  // throws unless it can, before data is read or --out replaced
  const data::DataLoaders data = load(options);
  if (options.lr_find) return find_lr(options, data), 0;
  const std::vector<Run> runs = runs_of(options);
  if (options.resume) {
    std::vector<std::string> checkpoints;
    for (const Run& run : runs) checkpoints.push_back(checkpoint_of(options, run));
    apps::check_checkpoints(options, checkpoints, [&](std::size_t i) { return prepare(options, data, runs[i]); });
  }
  const std::string metrics = options.out.empty() ? "" : apps::start_output(options, data);
  std::vector<apps::RunCurves> curves;
  std::vector<train::EpochRecord> finals;
  for (const Run& run : runs) {
    const std::string name = options.run_name(run.mixup);
    apps::print_line(run.mixup ? "with " + name : "without mixup", options.synthetic ? ", drawn digits" : "", ", seed ",
                     run.seed);
    const apps::Training training = train_once(options, data, run, metrics, &run != runs.data());
    const std::vector<train::EpochRecord>& epochs = training.learn->recorder->epochs();
    if (training.interrupted()) {
      if (options.checkpoint_every) std::printf("the same command with --resume continues from the last checkpoint\n");
      return 130;
    }
    std::printf("\n");
    if (run.seed == options.seed) finals.clear();
    if (epochs.empty()) continue;
    if (run.seed == options.seed) curves.push_back({name, epochs});
    finals.push_back(epochs.back());
    if (std::ssize(finals) == options.seeds && options.seeds > 1) print_statistics(name, finals);
  }
  if (!options.out.empty()) apps::output_curves(options, curves);
  if (!metrics.empty()) apps::print_line("wrote ", metrics);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return apps::run_program("train_mnist", [&] {
    Options options;
    return apps::parse(argc, argv, options) ? run(options) : 0;
  });
}
