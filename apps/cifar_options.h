// The command line of train_cifar.
#pragma once

#include "apps/cifar_recipe.h"
#include "apps/run_options.h"

namespace mixgrad::apps {

struct CifarOptions : RunOptions {
  CifarRecipe recipe;
  bool show_recipe = false, no_download = false;
  double until = 0;  // accuracy that ends training; 0: none
};

// Reads the command line: the recipe, and what replaces parts of it. Returns false after --help, which it prints.
// Throws a UsageError that names the mistake, before any data is loaded.
bool parse(int argc, char** argv, CifarOptions& options);

}  // namespace mixgrad::apps
