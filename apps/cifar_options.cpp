#include "apps/cifar_options.h"

#include <cmath>
#include <optional>

#include "apps/command_line.h"
#include "apps/program.h"

namespace mixgrad::apps {
namespace {

// What replaces parts of the recipe.
struct Overrides {
  std::optional<double> epochs, width, smoothing, alpha, tta;
  std::optional<std::int64_t> batch_size;
  bool mixup = false, cutmix = false, no_mixup = false;
};

void add_options(CLI::App& app, CifarOptions& o, std::string& recipe, Overrides& over) {
  const auto add_number = [&](const char* name, std::optional<double>& to, const char* what) {
    app.add_option(name, to, what)->check(number);
  };
  app.add_option("--recipe", recipe, text_of("one of ", cifar_recipe_names()))->capture_default_str();
  app.add_flag("--show-recipe", o.show_recipe, "do not train; print the recipe in full, with what replaces its parts");
  add_path(
      app, "--data", o.data,
      "folder with the six binary files of CIFAR-10, or with cifar-10-batches-bin; otherwise $MIXGRAD_DATA/cifar10, "
      "or ~/.cache/mixgrad, where it is downloaded to");
  app.add_flag("--no-download", o.no_download, "an error instead of a download");
  add_number("--epochs", over.epochs, "passes over the training images; the last may be a part of one, as in 7.59");
  app.add_option("--batch-size", over.batch_size, "images per training step")
      ->transform(whole_number<std::int64_t>(1, 50000));
  add_number("--width", over.width, "a factor of the network's channels, such as 0.25");
  app.add_flag("--mixup", over.mixup, "train with mixup; switches label smoothing off");
  app.add_flag("--cutmix", over.cutmix, "train with CutMix; switches label smoothing off");
  app.add_flag("--no-mixup", over.no_mixup, "train without, where the recipe has it");
  add_number("--alpha", over.alpha, "parameter of Beta(alpha, alpha) of --mixup (0.4) or --cutmix (1)");
  add_number("--label-smoothing", over.smoothing, "in 0..1");
  add_number("--tta", over.tta,
             "test-time augmentation: the share of the test images, those the model is least sure of, that six views "
             "classify; 0: none");
  app.add_option("--until", o.until, "stop after the first epoch that reaches this accuracy, such as 0.94")
      ->check(number);
  add_run_options(app, o);
  exclude(app, "--mixup", "--cutmix --no-mixup");
  exclude(app, "--cutmix", "--no-mixup");
  exclude(app, "--show-recipe", "--seeds --save --checkpoint-every --resume --profile --out --until");
}

void require(bool condition, const char* option, double value, const char* words) {
  check(condition, option, ": ", value, " is not ", words);
}

void replace_parts(CifarRecipe& recipe, const Overrides& over) {
  if (over.epochs) recipe.epochs = *over.epochs;
  require(recipe.epochs >= 0 && recipe.epochs <= 100000, "--epochs", recipe.epochs, "in 0..100000");
  recipe.batch_size = over.batch_size.value_or(recipe.batch_size);
  if (over.width) recipe.width = *over.width;
  require(recipe.width > 0 && recipe.width <= 16, "--width", recipe.width, "a factor above 0, at most 16");
  check_widths(recipe);
  if (over.mixup || over.cutmix || over.no_mixup) recipe.mixup = recipe.cutmix = 0;
  if (over.mixup) recipe.mixup = over.alpha.value_or(0.4);
  if (over.cutmix) recipe.cutmix = over.alpha.value_or(1);
  if (over.alpha) {
    check(recipe.mixup > 0 || recipe.cutmix > 0, "--alpha: needs --mixup or --cutmix, and to be above 0");
    (recipe.mixup > 0 ? recipe.mixup : recipe.cutmix) = *over.alpha;
    require(*over.alpha > 0 && *over.alpha <= 1e6, "--alpha", *over.alpha, "above 0, at most 1e6");
  }
  if (over.smoothing) recipe.label_smoothing = *over.smoothing;
  else if ((over.mixup || over.cutmix) && recipe.label_smoothing > 0) {
    print_line(over.mixup ? "--mixup" : "--cutmix", ": label smoothing of ", recipe.label_smoothing,
               " is switched off");
    recipe.label_smoothing = 0;
  }
  require(recipe.label_smoothing >= 0 && recipe.label_smoothing < 1, "--label-smoothing", recipe.label_smoothing,
          "in 0..1, below 1");
  if (over.tta) recipe.tta = *over.tta;
  require(recipe.tta >= 0 && recipe.tta <= 1, "--tta", recipe.tta, "a share in 0..1");
}

}  // namespace

bool parse(int argc, char** argv, CifarOptions& options) {
  CLI::App app{"Trains a convolutional network on CIFAR-10 to 94 %, by one of four recipes.", "train_cifar"};
  std::string recipe = "fast";
  Overrides overrides;
  add_options(app, options, recipe, overrides);
  if (!parse_command_line(app, argc, argv)) return false;
  try {
    options.recipe = cifar_recipe(recipe);
    replace_parts(options.recipe, overrides);
    require(app.count("--until") == 0 || (options.until > 0 && options.until <= 1), "--until", options.until,
            "an accuracy above 0, at most 1");
    check_run_options(options);
  } catch (const Error& error) {
    throw UsageError(error.what());
  }
  check_available(options.device);
  return true;
}

}  // namespace mixgrad::apps
