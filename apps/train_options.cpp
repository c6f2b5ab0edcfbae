#include "apps/train_options.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <set>
#include <sstream>

#include "apps/command_line.h"
#include "apps/program.h"

namespace mixgrad::apps {

namespace {

constexpr const char* mixup_option_names =  // for runs with mixup only
    "--alpha --stack-x --stack-y --per-batch-lambda --no-dedupe --second-loader --batch-mean-lambda";
constexpr const char* models[] = {"simple", "lenet", "resnet"};

// "7,3" as 3, 7. Throws unless they are at least two digits, each once, or "all".
std::vector<int> parse_digits(const std::string& text) {
  if (text == "all") return {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
  std::vector<int> digits;
  std::istringstream list(text);
  for (std::string item; std::getline(list >> std::ws, item, ',');) {
    check(item.size() == 1 && item[0] >= '0' && item[0] <= '9', "'", printable(item),
          "' is not a digit; give digits such as 3,7 or the word all");
    digits.push_back(item[0] - '0');
  }
  std::sort(digits.begin(), digits.end());
  const auto twice = std::ranges::adjacent_find(digits);
  check(twice == digits.end(), "digit ", twice == digits.end() ? 0 : *twice, " is given twice");
  check(digits.size() >= 2, "needs at least two digits to tell apart, such as 3,7");
  return digits;
}

void add_mixup_options(CLI::App& app, TrainOptions& o) {
  app.add_flag("--mixup", o.mixup, "train only with mixup");
  app.add_flag("--no-mixup", o.no_mixup, "train only without");
  app.add_flag("--cutmix", o.cutmix, "train only with CutMix: boxes of other images");
  app.add_flag("--compare", o.compare, "train without, then with mixup (default)");
  app.add_option("--alpha", o.alpha, "parameter of Beta(alpha, alpha); 0: no mixing; with --cutmix 1 unless given")
      ->capture_default_str()
      ->check(number);
  app.add_flag("--stack-x", o.stack_x, "give the model both images instead of their mixture");
  app.add_flag("--stack-y,!--no-stack-y", o.stack_y, "give the loss both labels (default), or mix one-hot targets");
  app.add_flag("--per-batch-lambda", o.per_batch_lambda,
               "one lambda, or box, for a batch instead of one for each image");
  app.add_flag("--no-dedupe", o.no_dedupe, "use t itself instead of max(t, 1-t)");
  app.add_flag("--second-loader", o.second_loader, "take partners from a second loader, as in the paper");
  app.add_flag("--batch-mean-lambda", o.batch_mean_lambda,
               "weight losses by the batch mean of lambda, as in the document's table");
}

void add_options(CLI::App& app, TrainOptions& o) {
  const auto set_digits = [&o](const std::string& list) {
    try {
      o.digits = parse_digits(list);
    } catch (const Error& error) {
      throw CLI::ValidationError("--digits", error.what());
    }
  };
  add_path(
      app, "--data", o.data,
      "folder with the four MNIST files, plain or .gz, or with images in train/3, ..., valid/7 (or training, test)");
  app.add_flag("--synthetic", o.synthetic, "train on digits drawn by the program; with --data, validate on MNIST");
  app.add_option_function<std::string>("--digits", set_digits, "classes, such as 3,7, or all")
      ->default_str(o.digit_list());
  add_count(app, "--epochs", o.epochs, 0, 100000, "passes over the training images")->capture_default_str();
  app.add_option("--lr", o.lr, "learning rate")->capture_default_str()->check(number);
  add_count(app, "--batch-size", o.batch_size, 1, 1000000000, "images per training step")->capture_default_str();
  add_mixup_options(app, o);
  app.add_option("--model", o.model, "simple (simple_cnn), lenet or resnet")
      ->capture_default_str()
      ->check(CLI::IsMember(std::set<std::string>(std::begin(models), std::end(models))));
  app.add_flag("--one-cycle", o.one_cycle, "one-cycle schedule: the learning rate rises to --lr and falls again");
  app.add_flag("--lr-find", o.lr_find, "do not train; run a learning-rate range test and suggest a rate");
  add_path(app, "--load", o.load, "start from these weights; the file names their --model and --digits");
  add_path(app, "--predict", o.predict,
           "do not train; classify this 28x28 PNG or JPEG, white on black, with the weights of --load");
  app.add_flag("--train-accuracy", o.train_accuracy,
               "add a column: accuracy on the training images, weighted by lambda on mixed ones");
  add_run_options(app, o);
}

// An option that a run does not use is refused, not ignored.
void add_exclusions(CLI::App& app) {
  const std::string training =
      "--epochs --lr --one-cycle --compare --seeds --save --checkpoint-every --resume --profile --train-accuracy ";
  exclude(app, "--mixup", "--no-mixup --cutmix --compare");
  exclude(app, "--no-mixup", text_of("--cutmix --compare ", mixup_option_names));
  exclude(app, "--cutmix", "--compare --stack-x --stack-y --no-dedupe --batch-mean-lambda");
  exclude(app, "--lr-find", training);
  exclude(app, "--predict",
          training + "--lr-find --batch-size --mixup --cutmix --no-mixup --seed --out " + mixup_option_names);
}

// A file of --save says which model and digits it is for: the defaults of the command line.
void complete_from_weights(const CLI::App& app, TrainOptions& options) {
  auto metadata = read_safetensors(options.load).metadata;
  check(metadata["format"] != train::checkpoint_format, "--load: ", options.load,
        " is a training checkpoint (for --resume); --load wants weights that --save wrote");
  if (app.count("--model") == 0 && metadata.contains("model")) options.model = metadata["model"];
  check(std::ranges::find(models, options.model) != std::end(models), options.load, ": unknown model ",
        printable(options.model));
  if (app.count("--digits") > 0 || !metadata.contains("classes")) return;
  try {
    options.digits = parse_digits(metadata["classes"]);
  } catch (const Error& error) {
    fail(options.load, ": its classes: ", error.what());
  }
}

// Throws on mistakes that do not depend on any file.
void check_values(const CLI::App& app, const TrainOptions& options) {
  check(std::isfinite(options.lr) && options.lr >= 0, "--lr: ", options.lr, " is not a learning rate");
  options.mix();  // refuses bad ones
  check_run_options(options);
  for (const std::string& name : words(mixup_option_names))
    check(!options.lr_find || options.mixup || options.cutmix || app.count(name) == 0,
          "--lr-find: cannot be used with ", name, " without --mixup or --cutmix");
  check(app.count("--stack-y") <= 1, "--stack-y: is given twice, or together with --no-stack-y");
  check(options.predict.empty() || !options.load.empty(),
        "--predict: needs a trained model; give its weights with --load FILE");
  check(options.synthetic || !options.data.empty() || !options.predict.empty(),
        "where is MNIST? Give its folder with --data DIR, or use drawn digits with --synthetic");
}

}  // namespace

augment::MixOptions TrainOptions::draws() const {
  return {.alpha = alpha,
          .lambda_per = per_batch_lambda ? augment::LambdaPer::batch : augment::LambdaPer::sample,
          .dedupe = !no_dedupe};
}

std::shared_ptr<const augment::PairMix> TrainOptions::pair_mix() const {
  if (cutmix) return std::make_shared<augment::CutMix>(augment::CutMixDraws{alpha, draws().lambda_per});
  return std::make_shared<augment::MixUp>(draws());
}

std::shared_ptr<train::Callback> TrainOptions::mix() const {
  const train::PairMixOptions options{
      .stack_x = stack_x,
      .stack_y = stack_y,
      .source = second_loader ? train::MixSource::second_loader : train::MixSource::shuffled_self,
      .loss_weight = batch_mean_lambda ? augment::LossWeight::batch_mean : augment::LossWeight::lambda};
  return std::make_shared<train::PairMixCallback>(pair_mix(), options);
}

std::string TrainOptions::digit_list() const {
  std::string list;
  for (const int digit : digits) list += (list.empty() ? "" : ",") + std::to_string(digit);
  return list;
}

std::vector<std::string> TrainOptions::digit_names() const {
  static const char* const words[] = {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
  std::vector<std::string> names;
  for (const int digit : digits) names.emplace_back(words[digit]);
  return names;
}

bool parse(int argc, char** argv, TrainOptions& options) {
  CLI::App app{"Trains a small convolutional network on MNIST without and with mixup.", "train_mnist"};
  add_options(app, options);
  add_exclusions(app);
  if (!parse_command_line(app, argc, argv)) return false;
  if (options.cutmix && app.count("--alpha") == 0) options.alpha = train::CutMixOptions{}.alpha;
  try {
    check_values(app, options);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  if (!options.load.empty()) complete_from_weights(app, options);
  check_available(options.device);
  return true;
}

}  // namespace mixgrad::apps
