// The recipes of train_cifar: a training on CIFAR-10 as one value, which is printed, changed and trained.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "mixgrad.h"

namespace mixgrad::apps {

// How a group of parameters is updated. The numbers are those for a loss that is summed over the batch, as its authors
// give them; here it is the mean, and they are converted.
struct CifarGroup {
  double lr = 0, momentum = 0;  // Nesterov's
  double decay = 0;             // of sgd: times the weight added to the gradient; else decoupled
};

struct CifarRecipe {
  std::string name = {}, source = {};
  double epochs = 0;
  std::int64_t batch_size = 0;

  // The network: a wide residual network of this depth (nn/models.h), or airbench.
  std::int64_t depth = 0, k = 0;
  std::vector<std::int64_t> widths = {64, 256, 256};
  double width = 1;         // times the channels
  bool silu = false;        // instead of GELU, but behind the whitening
  double norm_share = 0.4;  // that new statistics have in batch norm
  double logits_scale = 1.0 / 9;
  std::int64_t whitening_images = 5000;
  double whitening_epochs = 3;  // that its bias is trained for
  bool scaled_start = false;    // head's weights divided by their deviation, whitening's bias uniform in +-1 / sqrt(12)

  // The optimizer. `filters` by Muon, if it has a polynomial; depth > 0: all as filters, by AdamW in one cycle.
  CifarGroup filters = {}, shifts = {}, whitening = {}, head = {};
  std::array<double, 3> muon = {};
  double muon_eps = 1e-7;
  bool muon_periodic = false;              // it normalises weights now and then, not in every step
  double start = 1, rise = 0, finish = 0;  // factors of the learning rates: straight from start to 1 to finish
  bool whitening_line = false;             // its bias has a line of its own, to 0
  int lookahead_from = -1;                 // the epoch; below 0: none

  // The loss, and what is done to images.
  double label_smoothing = 0;
  double mixup = 0, cutmix = 0;  // alpha; 0: without
  std::int64_t padding = 2;      // of the crop, reflected; 0: no crop
  bool flip = true, alternating = true;
  double brightness = 0, contrast = 0;
  double tta = 1;        // the share of images, the least sure ones, that are classified by six views
  double tta_plain = 2;  // how much more the two that are not shifted weigh than the others
};

// airbench, muon, fast, wrn22. Throws on another name.
CifarRecipe cifar_recipe(const std::string& name);
std::string cifar_recipe_names();

// All of it as names and values, in the order above: for --show-recipe and for checkpoints.
std::vector<std::pair<std::string, std::string>> settings_of(const CifarRecipe& recipe);

// Throws where a width rounds to 0.
void check_widths(const CifarRecipe& recipe);

// The network as it starts, by the default seed; images: of the training data, f32 [N, 32, 32, 3] in [0, 1]. Throws
// as check_widths does.
nn::Sequential make_network(const CifarRecipe& recipe, const Tensor& images);

// A learner with all of the recipe's callbacks. data: with the recipe's batch size.
std::unique_ptr<train::Learner> make_learner(const CifarRecipe& recipe, const data::DataLoaders& data,
                                             const nn::Sequential& network, train::LearnerOptions options = {});

train::TtaOptions tta_of(const CifarRecipe& recipe);

}  // namespace mixgrad::apps
