// train_mnist: fastai's mixup lesson. Trains simple_cnn on MNIST, or on its 3s and 7s, without and with mixup, and
// prints the two tables.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iomanip>
#include <iostream>
#include <sstream>

#include "apps/mix_picture.h"
#include "apps/pictures.h"
#include "mixgrad.h"

using namespace mixgrad;

namespace {

struct Options {
  std::string data, digits = "3,7", out, model = "simple", save, load, predict;
  bool synthetic = false, mixup = false, no_mixup = false, compare = false;
  int epochs = 8, threads = 0, seeds = 1;
  std::int64_t batch_size = 64;
  double lr = 3e-3, alpha = 0.4;
  std::uint64_t seed = 42;
  bool stack_x = false, stack_y = true, per_batch_lambda = false, no_dedupe = false, second_loader = false;
  bool batch_mean_lambda = false;
  bool one_cycle = false, lr_find = false, profile = false, resume = false;
  std::int64_t checkpoint_every = 0;

  bool plain_run() const { return !mixup; }
  bool mixup_run() const { return !no_mixup; }
};

// simple_cnn for stacked input: it is given [x, partner, lambda] and mixes by itself.
class StackedCnn : public nn::Module {
 public:
  explicit StackedCnn(nn::Sequential cnn) : cnn_(std::move(cnn)) {}
  Tensor forward(const Tensor& x) override { return cnn_(x); }
  Tensor forward(std::span<const Tensor> inputs) override {
    if (inputs.size() == 1) return forward(inputs.front());
    return cnn_(augment::mix({inputs[0], inputs[1], inputs[2]}));
  }
  void visit(nn::Visitor& visitor) override { visitor.child("cnn", cnn_); }
  std::string name() const override { return "StackedCnn"; }

 private:
  nn::Sequential cnn_;
};

std::vector<int> parse_digits(const std::string& text) {
  if (text == "all") return {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<int> digits;
  std::istringstream list(text);
  for (std::string item; std::getline(list >> std::ws, item, ',');) {
    check(item.size() == 1 && item[0] >= '0' && item[0] <= '9', "--digits: '", item,
          "' is not a digit; give digits such as 3,7 or the word all");
    digits.push_back(item[0] - '0');
  }
  check(digits.size() >= 2, "--digits: needs at least two digits to tell apart");
  return digits;
}

// MNIST from its own files, or from class folders of images below train/ and valid/.
data::DataLoaders load_folder(const Options& options, const data::MnistOptions& mnist) {
  if (!std::filesystem::is_directory(std::filesystem::path(options.data) / "train"))
    return data::mnist(options.data, mnist);
  auto data = data::from_folder(options.data, {.batch_size = mnist.batch_size, .seed = mnist.seed});
  std::vector<std::string> digits;
  for (const int digit : mnist.digits) digits.push_back(std::to_string(digit));
  check(data.classes() == digits, "--digits ", options.digits, ": not the class folders of ", options.data);
  return data;
}

data::DataLoaders load(const Options& options) {
  const data::MnistOptions mnist{.digits = parse_digits(options.digits), .batch_size = options.batch_size};
  check(options.synthetic || !options.data.empty(),
        "where is MNIST? Give its folder with --data DIR, or use drawn digits with --synthetic");
  if (!options.synthetic) return load_folder(options, mnist);
  const data::DataLoaders drawn = data::synthetic_mnist(mnist);
  return options.data.empty() ? drawn : data::DataLoaders{drawn.train, load_folder(options, mnist).valid};
}

train::MixUpOptions mixup_options(const Options& options) {
  return {.alpha = options.alpha,
          .stack_x = options.stack_x,
          .stack_y = options.stack_y,
          .source = options.second_loader ? train::MixSource::second_loader : train::MixSource::shuffled_self,
          .lambda_per = options.per_batch_lambda ? augment::LambdaPer::batch : augment::LambdaPer::sample,
          .dedupe = !options.no_dedupe,
          .loss_weight = options.batch_mean_lambda ? augment::LossWeight::batch_mean : augment::LossWeight::lambda};
}

const char* run_name(bool mixup) { return mixup ? "mixup" : "plain"; }

nn::Sequential make_model(const Options& options, std::size_t classes) {
  const auto outputs = static_cast<std::int64_t>(classes);
  if (options.model == "lenet") return nn::lenet(3, outputs);
  if (options.model == "resnet") return nn::resnet(3, outputs);
  return nn::simple_cnn({3, 16, 16, outputs});
}

// A learner as its run and seed want it.
std::unique_ptr<train::Learner> make_learner(const Options& options, const data::DataLoaders& data, bool mixup,
                                             std::uint64_t seed) {
  manual_seed(seed);
  nn::Sequential cnn = make_model(options, data.classes().size());
  if (!options.load.empty()) nn::load_weights(cnn, options.load);
  const data::DataLoaders seeded = data.with_seed(seed);
  const train::LearnerOptions settings{.metrics = {train::accuracy}, .seed = seed};
  auto learn = mixup && options.stack_x ? std::make_unique<train::Learner>(seeded, StackedCnn(cnn), settings)
                                        : std::make_unique<train::Learner>(seeded, cnn, settings);
  if (mixup) learn->mixup(mixup_options(options));
  return learn;
}

std::vector<std::string> class_names(const Options& options) {
  static const char* const words[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
  std::vector<std::string> names;
  for (const int digit : parse_digits(options.digits)) names.emplace_back(words[digit]);
  return names;
}

std::string in_output(const Options& options, const std::string& name) {
  return (std::filesystem::path(options.out) / name).string();
}

// What a trained model gets wrong: a sheet of the worst digits, and the confusion matrix.
void write_mistakes(const Options& options, train::Learner& learn, const std::string& run) {
  const std::vector<std::string> names = class_names(options);
  const auto name = [&](std::int32_t label) { return names.at(static_cast<std::size_t>(label)); };
  std::vector<std::int32_t> worst;
  std::vector<std::string> captions;
  for (const train::TopLoss& loss : train::top_losses(learn, 12)) {
    worst.push_back(static_cast<std::int32_t>(loss.index));
    std::ostringstream caption;
    caption << name(loss.target) << ", read as " << name(loss.predicted) << " (" << std::fixed << std::setprecision(2)
            << loss.probability << ")";
    captions.push_back(caption.str());
  }
  apps::write_top_losses(in_output(options, run + "_top_losses.png"), learn.data.valid.dataset().get(worst).x,
                         captions);
  apps::write_confusion_matrix(in_output(options, run + "_confusion.png"), train::confusion_matrix(learn), names);
}

// The curves of the first seed's runs, and the density that lambda came from beside draws of it.
void write_curves(const Options& options, const std::vector<apps::RunCurves>& runs) {
  if (runs.empty()) return;
  apps::write_curves(in_output(options, "curves.png"), runs);
  if (!options.mixup_run() || options.alpha == 0) return;
  const augment::MixOptions mix{.alpha = options.alpha, .dedupe = !options.no_dedupe};
  Random random(options.seed, Purpose::mixup);
  apps::write_beta_density(in_output(options, "lambda.png"), mix, augment::draw_mix_plan(10000, mix, random).lambda);
}

// Trains one model from one seed. The epochs that were completed, and whether Ctrl-C cut the run short.
struct Run {
  std::vector<train::EpochRecord> epochs;
  bool interrupted;
};

Run train_once(const Options& options, const data::DataLoaders& data, bool mixup, std::uint64_t seed,
               const std::string& metrics) {
  const auto learn = make_learner(options, data, mixup, seed);
  const auto interrupt = std::make_shared<train::StopOnInterrupt>();
  learn->add(interrupt);
  const train::CsvOptions columns{.labels = {{"run", run_name(mixup)}, {"seed", std::to_string(seed)}}, .append = true};
  if (!metrics.empty()) learn->add(std::make_shared<train::CsvLogger>(metrics, columns));
  const std::string checkpoint =
      in_output(options, std::string(run_name(mixup)) + "_" + std::to_string(seed) + ".checkpoint");
  if (options.checkpoint_every) learn->add(std::make_shared<train::Checkpoint>(checkpoint, options.checkpoint_every));
  if (options.resume && std::filesystem::exists(checkpoint)) train::resume(*learn, checkpoint);

  if (options.profile) learn->add(std::make_shared<train::ProfileCallback>());
  if (options.one_cycle) learn->fit_one_cycle(options.epochs, options.lr);
  else learn->fit(options.epochs, options.lr);
  if (!options.save.empty()) nn::save_weights(*learn->model, options.save);
  if (!options.out.empty() && seed == options.seed && !learn->recorder->epochs().empty())
    write_mistakes(options, *learn, run_name(mixup));
  return {learn->recorder->epochs(), interrupt->interrupted()};
}

// Prints the loss at growing learning rates, and a suggestion.
void find_lr(const Options& options, const data::DataLoaders& data) {
  const auto learn = make_learner(options, data, options.mixup, options.seed);
  const train::LrCurve curve = train::lr_find(*learn);
  std::printf("%-10s  loss\n", "lr");
  for (std::size_t i = 0; i < curve.lr.size(); i += 4) std::printf("%-10.2e  %.4f\n", curve.lr[i], curve.loss[i]);
  std::printf("suggestion: --lr %.1e\n", curve.suggestion);
}

// Reads a picture of a digit, white on black, and prints what the model makes of it.
void predict(const Options& options) {
  check(!options.load.empty(), "--predict: needs a trained model; give its weights with --load FILE");
  const std::vector<int> digits = parse_digits(options.digits);
  nn::Sequential model = make_model(options, digits.size());
  nn::load_weights(model, options.load);
  const Tensor image = data::read_image(options.predict, {.channels = 3});
  check(image.shape() == Shape{28, 28, 3}, options.predict, ": is ", image.size(1), " x ", image.size(0),
        " pixels, the model reads 28 x 28");
  model.eval();
  const Tensor x = reshape(image, {1, 28, 28, 3}).to(DType::f32) / 255.0;
  const auto probability = no_grad([&] { return softmax(model(x)); }).to_vector<float>();
  for (std::size_t i = 0; i < digits.size(); ++i) std::printf("%d  %.4f\n", digits[i], double{probability[i]});
}

// The first batch as mixup will train on it.
void write_picture(const Options& options, const data::DataLoaders& data) {
  const data::DataLoader train = data.with_seed(options.seed).train;
  data::LoaderOptions second = train.options();
  if (options.second_loader) second.purpose = Purpose::partner_shuffle;
  const data::Batch batch = train.epoch(0)[0], partners = train.with(second).epoch(0)[0];
  Random random(options.seed, Purpose::mixup);
  const train::MixUpOptions mixup = mixup_options(options);
  const augment::MixPlan plan = augment::draw_mix_plan(
      batch.size(), {.alpha = mixup.alpha, .lambda_per = mixup.lambda_per, .dedupe = mixup.dedupe}, random);
  const std::string path = in_output(options, "mixed_batch.png");
  if (apps::write_mix_picture(path, augment::stack_input(batch.x, partners.x, plan),
                              augment::mixed_target(batch.y, partners.y, plan), class_names(options)))
    std::printf("wrote %s\n", path.c_str());
  else std::printf("skipped: the picture of a mixed batch (install the package gnuplot-nox)\n");
}

// Makes the folder of --out, its picture and an empty metrics.csv, whose path it returns. What is there already is lost
// only when all of that can be written.
std::string start_output(const Options& options, const data::DataLoaders& data) {
  std::error_code ignored;
  std::filesystem::create_directories(options.out, ignored);
  std::string metrics = in_output(options, "metrics.csv");
  check(std::ofstream(metrics, std::ios::app).good(), "--out: cannot write ", metrics);
  if (options.mixup_run()) write_picture(options, data);
  check(std::ofstream(metrics).good(), "--out: cannot write ", metrics);
  return metrics;
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
  check(std::isfinite(options.lr) && options.lr >= 0, "--lr: ", options.lr, " is no learning rate");
  if (options.threads > 0) set_num_threads(options.threads);
  const train::MixUpCallback check_options(mixup_options(options));  // refuses bad options before anything is loaded
  check((!options.resume && !options.checkpoint_every) || !options.out.empty(),
        "--checkpoint-every and --resume: need --out DIR, where checkpoints are");
  if (!options.predict.empty()) return predict(options), 0;
  const data::DataLoaders data = load(options);
  if (options.lr_find) return find_lr(options, data), 0;
  const std::string metrics = options.out.empty() ? "" : start_output(options, data);
  std::vector<apps::RunCurves> curves;
  for (const bool mixup : {false, true}) {
    if (mixup ? !options.mixup_run() : !options.plain_run()) continue;
    std::vector<train::EpochRecord> finals;
    for (int i = 0; i < options.seeds; ++i) {
      const std::uint64_t seed = options.seed + static_cast<std::uint64_t>(i);
      std::printf("%s%s, seed %llu\n", mixup ? "with mixup" : "without mixup",
                  options.synthetic ? ", drawn digits" : "", static_cast<unsigned long long>(seed));
      const Run run = train_once(options, data, mixup, seed, metrics);
      if (run.interrupted) return 130;
      if (i == 0 && !run.epochs.empty()) curves.push_back({run_name(mixup), run.epochs});
      if (!run.epochs.empty()) finals.push_back(run.epochs.back());
      std::printf("\n");
    }
    if (finals.size() > 1) print_statistics(run_name(mixup), finals);
  }
  if (!options.out.empty()) write_curves(options, curves);
  if (!metrics.empty()) std::printf("wrote %s\n", metrics.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"Trains simple_cnn on MNIST without and with mixup.", "train_mnist"};
  const CLI::Validator not_negative(
      [](const std::string& value) { return value.starts_with('-') ? value + " is negative" : std::string(); }, "");
  app.add_option("--data", o.data,
                 "folder with the four MNIST files, plain or .gz, or with images in train/3, ..., valid/7");
  app.add_flag("--synthetic", o.synthetic,
               "train on digits that the program draws; with --data too, validate on MNIST");
  app.add_option("--digits", o.digits, "classes, such as 3,7, or all")->capture_default_str();
  app.add_option("--epochs", o.epochs, "passes over the training images")
      ->capture_default_str()
      ->check(CLI::Range(0, 100000));
  app.add_option("--lr", o.lr, "learning rate")->capture_default_str();
  app.add_option("--batch-size", o.batch_size, "images of a training step")->capture_default_str();
  auto* only = app.add_option_group("runs", "which runs (default: --compare)");
  only->add_flag("--mixup", o.mixup, "only with mixup");
  CLI::Option* const no_mixup = only->add_flag("--no-mixup", o.no_mixup, "only without");
  only->add_flag("--compare", o.compare, "without, then with");
  only->require_option(0, 1);
  for (CLI::Option* const option :
       {app.add_option("--alpha", o.alpha, "of Beta(alpha, alpha); 0 mixes nothing")->capture_default_str(),
        app.add_flag("--stack-x", o.stack_x, "give the model both images instead of their mixture"),
        app.add_flag("--stack-y,!--no-stack-y", o.stack_y,
                     "give the loss both labels (default), or mix one-hot targets"),
        app.add_flag("--per-batch-lambda", o.per_batch_lambda, "one lambda for a batch instead of one for each image"),
        app.add_flag("--no-dedupe", o.no_dedupe, "use t itself instead of max(t, 1-t)"),
        app.add_flag("--second-loader", o.second_loader, "take partners from a second loader, as in the paper"),
        app.add_flag("--batch-mean-lambda", o.batch_mean_lambda, "weigh losses as the document's table did")})
    option->excludes(no_mixup);
  app.add_option("--seed", o.seed, "of weights, shuffling and mixing")->capture_default_str()->check(not_negative);
  app.add_option("--seeds", o.seeds, "train from so many seeds, print mean and deviation")
      ->capture_default_str()
      ->check(CLI::Range(1, 10000));
  app.add_option("--model", o.model, "simple (simple_cnn), lenet or resnet")
      ->capture_default_str()
      ->check(CLI::IsMember({"simple", "lenet", "resnet"}));
  app.add_flag("--one-cycle", o.one_cycle, "let the learning rate rise to --lr and fall again");
  app.add_flag("--lr-find", o.lr_find, "do not train; try learning rates and suggest one");
  app.add_option("--save", o.save, "write the weights of the (last) model trained to a safetensors file");
  app.add_option("--load", o.load, "begin with these weights");
  app.add_option("--predict", o.predict,
                 "do not train; read this 28x28 PNG or JPEG, white on black, with the weights of --load");
  app.add_option("--checkpoint-every", o.checkpoint_every, "write a checkpoint to --out every so many batches")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1000000000}));
  app.add_flag("--resume", o.resume, "go on from the checkpoints in --out, bit for bit");
  app.add_flag("--profile", o.profile, "print which operations took how long");
  app.add_option("--threads", o.threads, "default: all cores")->check(CLI::Range(1, 4096));
  app.add_option("--out", o.out, "folder for metrics.csv and pictures");
  app.failure_message([](const CLI::App*, const CLI::Error& error) {
    return std::string("train_mnist: ") + error.what() + " (--help lists the options)\n";
  });
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    return run(o);
  } catch (const std::exception& error) {
    std::fflush(stdout);
    std::cerr << "train_mnist: " << error.what() << '\n';
    return 1;
  }
}
