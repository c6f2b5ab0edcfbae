// train_mnist: fastai's mixup lesson. Trains simple_cnn, or another small model, on the 3s and 7s of MNIST, or on all
// its digits, without and with mixup, and prints the two tables.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <thread>
#include <utility>

#include "apps/program.h"
#include "apps/train_options.h"
#include "apps/train_outputs.h"
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
  return learn;
}

// Ends training when its table can't be printed, such as into a closed pipe.
struct StopIfUnprintable : train::Callback {
  void on_epoch_end(train::Learner& learner) override {
    if (std::ferror(stdout)) learner.stop();
  }
};

// A learner with the callbacks of its run, resumed from its checkpoint if requested.
struct Training {
  std::unique_ptr<train::Learner> learn;
  std::shared_ptr<train::StopOnInterrupt> interrupt = std::make_shared<train::StopOnInterrupt>();
  std::shared_ptr<train::TerminateOnNan> terminate =
      std::make_shared<train::TerminateOnNan>(train::TerminateOnNanOptions{.print = false});  // the error says it
};

Training prepare(const Options& options, const data::DataLoaders& data, bool mixup, std::uint64_t seed) {
  Training training{.learn = make_learner(options, data, mixup, seed)};
  train::Learner& learn = *training.learn;
  learn.add(training.interrupt).add(training.terminate).add(std::make_shared<StopIfUnprintable>());
  const std::string checkpoint = apps::checkpoint_path(options, mixup, seed);
  const auto word = [](bool yes) { return yes ? "yes" : "no"; };
  const train::Settings settings{{"--epochs", std::to_string(options.epochs)},
                                 {"--lr", text_of(options.lr)},
                                 {"--model", options.model},
                                 {"--one-cycle", word(options.one_cycle)},
                                 {"--synthetic", word(options.synthetic)},
                                 {"--train-accuracy", word(options.train_accuracy)}};
  if (options.checkpoint_every)
    learn.add(std::make_shared<train::Checkpoint>(checkpoint, options.checkpoint_every, settings));
  if (options.one_cycle)
    learn.add(std::make_shared<train::LrSchedule>(train::one_cycle_lr(options.lr), train::one_cycle_momentum()));
  if (options.resume && std::filesystem::exists(checkpoint)) train::resume(learn, checkpoint, settings);
  return training;
}

// Throws unless there is a checkpoint, or will be one, and each is valid for its run: before anything is written.
void check_checkpoints(const Options& options, const data::DataLoaders& data) {
  bool any = options.checkpoint_every > 0;
  for (const bool mixup : options.runs())
    for (int i = 0; i < options.seeds; ++i) {
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
      if (!std::filesystem::exists(apps::checkpoint_path(options, mixup, seed))) continue;
      const Training training = prepare(options, data, mixup, seed);
      training.learn->start()->compare(*training.learn);
      any = true;
    }
  check(any, "--resume: there is no checkpoint of this training in ", options.out);
}

void print_start(const train::Learner& learn, const std::string& checkpoint) {
  if (const auto& start = learn.start(); !start)
    apps::print_line("no checkpoint ", checkpoint, ": starts from the beginning");
  else if (start->epoch == start->epochs) apps::print_line("resumed from ", checkpoint, ": already complete");
  else
    apps::print_line("resumed from ", checkpoint, ": in epoch ", start->epoch + 1, " after batch ", start->batch,
                     " of ", learn.data.train.num_batches());
}

// Trains one model from one seed.
Training train_once(const Options& options, const data::DataLoaders& data, bool mixup, std::uint64_t seed,
                    const std::string& metrics, bool append) {
  Training training = prepare(options, data, mixup, seed);
  const auto& [learn, interrupt, terminate] = training;
  if (options.resume) print_start(*learn, apps::checkpoint_path(options, mixup, seed));
  const train::CsvOptions columns{.labels = {{"run", options.run_name(mixup)}, {"seed", std::to_string(seed)}},
                                  .append = append};
  if (!metrics.empty()) learn->add(std::make_shared<train::CsvLogger>(metrics, columns));
  if (options.profile) learn->add(std::make_shared<train::ProfileCallback>());
  learn->fit(options.epochs, options.one_cycle ? std::nullopt : std::optional(options.lr));
  if (const auto& bad = terminate->bad())
    fail("the loss of ", bad->batch > 0 ? text_of("batch ", bad->batch) : "the validation", " in epoch ", bad->epoch,
         " is not finite; try a smaller --lr");
  if (!interrupt->interrupted() && std::ssize(learn->recorder->epochs()) < options.epochs) apps::check_printed();
  if (!options.save.empty()) {
    const bool stopped = interrupt->interrupted();
    if (!stopped)
      nn::save_weights(*learn->model, options.save, nn::WeightLayout::ohwi,
                       {{"classes", options.digit_list()}, {"model", options.model}});
    apps::print_line(stopped ? "not written: " : "wrote ", options.save, stopped ? ", as training was stopped" : "");
  }
  if (!options.out.empty() && seed == options.seed && !learn->recorder->epochs().empty())
    apps::output_mistakes(options, *learn, options.run_name(mixup));
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

void print_statistics(const char* run, const std::vector<train::EpochRecord>& finals) {
  const auto print = [&](const char* name, auto value) {
    double mean = 0, square = 0;
    const auto n = static_cast<double>(finals.size());
    for (const auto& record : finals) mean += value(record) / n;
    for (const auto& record : finals) square += std::pow(value(record) - mean, 2);
    const double deviation = std::sqrt(square / (n - 1));
    std::printf("%s: %-10s  mean %.5f  sd %.5f  se %.5f  over %zu seeds\n", run, name, mean, deviation,
                deviation / std::sqrt(n), finals.size());
  };
  print("train_loss", [](const auto& record) { return record.train_loss; });
  print("valid_loss", [](const auto& record) { return record.valid_loss; });
  print("accuracy", [](const auto& record) { return record.metrics.at(0); });
}

// Returns the exit code: 0, or 130 after Ctrl-C.
int run(const Options& options) {
  if (options.threads > 0) set_num_threads(options.threads);
  if (const int cores = static_cast<int>(std::thread::hardware_concurrency()); cores > 0 && options.threads > cores)
    std::fprintf(stderr, "train_mnist: %d threads are more than the %d cores here: slower than --threads %d\n",
                 options.threads, cores, cores);
  if (!options.predict.empty()) return predict(options), 0;
  if (!options.save.empty()) check_can_write_atomically(options.save);
  if (!options.load.empty()) make_model(options);  // throws unless it can, before data is read or --out replaced
  const data::DataLoaders data = load(options);
  if (options.lr_find) return find_lr(options, data), 0;
  if (options.resume) check_checkpoints(options, data);
  if (options.resume && options.checkpoint_every == 0)
    std::printf("no more checkpoints are written without --checkpoint-every\n");
  const std::string metrics = options.out.empty() ? "" : apps::start_output(options, data);
  std::vector<apps::RunCurves> curves;
  bool first = true;
  for (const bool mixup : options.runs()) {
    std::vector<train::EpochRecord> finals;
    for (int i = 0; i < options.seeds; ++i) {
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
      std::printf("%s%s, seed %llu\n", mixup ? text_of("with ", options.run_name(mixup)).c_str() : "without mixup",
                  options.synthetic ? ", drawn digits" : "", static_cast<unsigned long long>(seed));
      const Training run = train_once(options, data, mixup, seed, metrics, !std::exchange(first, false));
      const std::vector<train::EpochRecord>& epochs = run.learn->recorder->epochs();
      if (run.interrupt->interrupted()) {
        if (options.checkpoint_every)
          std::printf("the same command with --resume continues from the last checkpoint\n");
        return 130;
      }
      if (i == 0 && !epochs.empty()) curves.push_back({options.run_name(mixup), epochs});
      if (!epochs.empty()) finals.push_back(epochs.back());
      std::printf("\n");
    }
    if (finals.size() > 1) print_statistics(options.run_name(mixup), finals);
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
