#include "apps/cifar_recipe.h"

#include <algorithm>
#include <cmath>

namespace mixgrad::apps {
namespace {

// Jordan, "94% on CIFAR-10 in 3.29 seconds on a single GPU", 2024, and its authors' scripts.
CifarRecipe airbench() {
  return {.name = "airbench",
          .source = "airbench94 (Jordan, 2024)",
          .epochs = 9.9,
          .batch_size = 1024,
          .filters = {1.46484e-3, 0.85, 1.3623},
          .shifts = {0.09375, 0.85, 0.021286},
          .whitening = {1.46484e-3, 0.85, 1.3623},
          .head = {1.46484e-3, 0.85, 1.3623},
          .start = 0.2,
          .rise = 0.23,
          .finish = 0.07,
          .lookahead_from = 3,
          .label_smoothing = 0.2};
}

CifarRecipe muon() {
  CifarRecipe recipe = airbench();
  recipe.name = "muon";
  recipe.source = "airbench94 with Muon (Jordan, 2025)";
  recipe.epochs = 8;
  recipe.batch_size = 2000;
  recipe.logits_scale = 1.0 / 256;
  recipe.scaled_start = true;
  recipe.filters = {0.24, 0.6, 0};
  recipe.shifts = recipe.whitening = {0.053, 0.85, 0.07547};
  recipe.head = {0.67, 0.85, 0.00597};
  recipe.muon = {3.4445, -4.7750, 2.0315};
  recipe.start = 1;
  recipe.rise = recipe.finish = 0;
  recipe.whitening_line = true;
  recipe.lookahead_from = -1;
  return recipe;
}

CifarRecipe fast() {
  CifarRecipe recipe = muon();
  recipe.name = "fast";
  recipe.source = "the fastest known script of its kind (September 2025)";
  recipe.epochs = 7.59;
  recipe.batch_size = 1536;
  recipe.silu = true;
  recipe.norm_share = 0.4434;
  recipe.whitening_images = 960;
  recipe.whitening_epochs = 7.0 / 32;
  recipe.filters = {0.205, 0.655, 1.6002e-3};
  recipe.shifts = recipe.whitening = {0.0573, 0.825, 0.02793};
  recipe.head = {0.5415, 0.825, 0.002955};
  recipe.muon = {3.4576, -4.7391, 2.0843};
  recipe.muon_eps = 1e-5;
  recipe.muon_periodic = true;
  recipe.label_smoothing = 0.09;
  recipe.brightness = 0.1399;
  recipe.contrast = 0.1308;
  recipe.tta = 0.25;
  recipe.tta_plain = 1;
  return recipe;
}

CifarRecipe wrn22() {
  return {.name = "wrn22",
          .source = "the document's: fastai's WRN-22, k = 6, with mixup (2019)",
          .epochs = 24,
          .batch_size = 512,
          .depth = 22,
          .k = 6,
          .filters = {3e-3, 0.95, 0.2},
          .rise = 0.5,
          .mixup = 0.4,
          .padding = 4,
          .alternating = false,
          .tta = 0};
}

std::int64_t scaled(std::int64_t channels, double width) {
  const auto result = static_cast<std::int64_t>(std::lround(static_cast<double>(channels) * width));
  check(result >= 1, "a width of ", width, " leaves nothing of ", channels, " channels");
  return result;
}

// Which numbers of steps, from 1 to `total`, normalise Muon's weights: 2 + floor(15 step / total) steps after the last
// that did.
std::vector<bool> periodic_steps(std::int64_t total) {
  std::vector<bool> due(static_cast<std::size_t>(total + 1), false);
  std::int64_t last = 0;
  for (std::int64_t step = 1; step <= total; ++step)
    if (step - last >= 2 + 15 * step / total) {
      due[static_cast<std::size_t>(step)] = true;
      last = step;
    }
  return due;
}

enum GroupIndex : std::size_t { filters, shifts, whitening_bias, head };

train::ParameterGroups groups_of(const CifarRecipe& recipe, nn::Module& network, std::int64_t batch_size,
                                 std::int64_t total_steps) {
  if (recipe.depth > 0) return nn::parameters(network);
  const auto n = static_cast<double>(batch_size);  // the gradient of the sum is n times that of the mean
  std::vector<train::ParameterGroup> groups(4);
  std::size_t i = 0;
  for (const CifarGroup& group : {recipe.filters, recipe.shifts, recipe.whitening, recipe.head}) {
    const train::SgdOptions sgd{.lr = 1, .momentum = group.momentum, .nesterov = true, .weight_decay = group.decay / n};
    groups[i].lr_scale = group.lr * n;
    groups[i++].rule = train::sgd(sgd);
  }
  if (recipe.muon[0] != 0) {
    train::MuonOptions options{.lr = 1,
                               .momentum = recipe.filters.momentum,
                               .weight_decay = recipe.filters.decay,
                               .iterations = 3,
                               .polynomial = recipe.muon,
                               .eps = recipe.muon_eps / n};
    options.normalises = [](std::int64_t) { return true; };
    if (recipe.muon_periodic)
      options.normalises = [due = periodic_steps(total_steps)](std::int64_t step) {
        return step < std::ssize(due) && due[static_cast<std::size_t>(step)];
      };
    groups[filters].lr_scale = recipe.filters.lr;
    groups[filters].rule = train::muon(options);
  }
  for (const auto& [name, parameter] : nn::named_parameters(network))
    groups[name == "1.bias"        ? whitening_bias
           : parameter.rank() == 4 ? filters
           : parameter.rank() == 2 ? head
                                   : shifts]
        .parameters.push_back(parameter);
  return groups;
}

std::shared_ptr<train::Callback> lr_schedule(const CifarRecipe& recipe) {
  if (recipe.depth > 0)
    return std::make_shared<train::LrSchedule>(
        train::one_cycle_lr(recipe.filters.lr, {.rise = recipe.rise, .div = 10, .final_div = 1e5}),
        train::one_cycle_momentum({.rise = recipe.rise}));
  if (recipe.rise == 0) return std::make_shared<train::LrSchedule>(train::linear(1, recipe.finish));
  return std::make_shared<train::LrSchedule>(train::sequence(
      {{recipe.rise, train::linear(recipe.start, 1)}, {1 - recipe.rise, train::linear(1, recipe.finish)}}));
}

std::vector<data::Transform> transforms_of(const CifarRecipe& recipe) {
  std::vector<data::Transform> transforms;
  if (recipe.padding > 0)
    transforms.push_back(data::random_crop({.padding = recipe.padding, .border = data::Border::reflect}));
  if (recipe.flip) transforms.push_back(data::horizontal_flip({.alternating = recipe.alternating}));
  // The recipe's are of images normalised by channel; here by the mean of the channels' means and deviations, which is
  // up to 5 % off.
  constexpr double mean = 0.4734, deviation = 0.2516;
  if (recipe.brightness > 0 || recipe.contrast > 0)
    transforms.push_back(data::brightness_contrast(
        {.brightness = recipe.brightness * deviation, .contrast = recipe.contrast, .pivot = mean}));
  return transforms;
}

}  // namespace

CifarRecipe cifar_recipe(const std::string& name) {
  for (const auto& make : {airbench, muon, fast, wrn22})
    if (CifarRecipe recipe = make(); recipe.name == name) return recipe;
  fail("there is no recipe ", printable(name), ", but ", cifar_recipe_names());
}

std::string cifar_recipe_names() { return "airbench, muon, fast, wrn22"; }

std::vector<std::pair<std::string, std::string>> settings_of(const CifarRecipe& recipe) {
  std::vector<std::pair<std::string, std::string>> all;
  const auto put = [&](const std::string& name, const auto&... values) { all.emplace_back(name, text_of(values...)); };
  const auto group = [&](const std::string& name, const CifarGroup& g, const char* rule) {
    put(name, rule, ", lr ", g.lr, ", momentum ", g.momentum, ", decay ", g.decay);
  };
  const bool wide = recipe.depth > 0, muon = recipe.muon[0] != 0;
  put("recipe", recipe.name, ", after ", recipe.source);
  put("--epochs", recipe.epochs);
  put("--batch-size", recipe.batch_size);
  put("--width", recipe.width, " times the channels");
  if (wide) {
    put("network", "wide_resnet(", recipe.depth, ", ", recipe.k, ")");
    group("all parameters", recipe.filters, "AdamW, beta2 0.99, eps 1e-8");
    put("learning rate", "one cycle, rising in the first ", recipe.rise, " from a tenth; momentum to 0.85 and back");
  } else {
    put("network", "airbench of ", recipe.widths[0], ", ", recipe.widths[1], ", ", recipe.widths[2],
        " channels, GELU behind the whitening, then ", recipe.silu ? "SiLU" : "GELU");
    put("batch norm", "new statistics weigh ", recipe.norm_share);
    put("logits", "x ", recipe.logits_scale);
    put("whitening", "of ", recipe.whitening_images, " images; bias trained for ", recipe.whitening_epochs, " epochs");
    put("start", recipe.scaled_start ? "head divided by its deviation, whitening's bias uniform"
                                     : "head uniform, whitening's bias 0");
    group("filters", recipe.filters, muon ? "Muon, Nesterov" : "SGD, Nesterov");
    if (muon)
      put("Muon", "3 iterations, polynomial ", recipe.muon[0], " ", recipe.muon[1], " ", recipe.muon[2], ", eps ",
          recipe.muon_eps, recipe.muon_periodic ? ", normalises now and then" : ", normalises always");
    group("shifts", recipe.shifts, "SGD, Nesterov");
    group("whitening bias", recipe.whitening, "SGD, Nesterov");
    group("head", recipe.head, "SGD, Nesterov");
    const std::string rise =
        recipe.rise > 0 ? text_of("x ", recipe.start, " rising to 1 in the first ", recipe.rise, ", then") : "x 1";
    put("learning rates", rise, " falling to ", recipe.finish,
        recipe.whitening_line ? "; the whitening bias by a line of its own" : "");
    put("lookahead",
        recipe.lookahead_from < 0 ? "no" : text_of("from epoch ", recipe.lookahead_from, " on, every 5 steps"));
  }
  put("--label-smoothing", recipe.label_smoothing);
  put("--mixup", recipe.mixup > 0 ? text_of("alpha ", recipe.mixup) : "no");
  put("--cutmix", recipe.cutmix > 0 ? text_of("alpha ", recipe.cutmix) : "no");
  put("augmentation", "crop of a reflected border of ", recipe.padding, ", ",
      recipe.alternating ? "alternating" : "random", " flips, brightness +-", recipe.brightness, ", contrast +-",
      recipe.contrast);
  put("--tta", recipe.tta,
      recipe.tta == 0
          ? ""
          : text_of(" of the images, those it is least sure of, by six views; the two that are not shifted weigh ",
                    recipe.tta_plain, " times as much"));
  return all;
}

void check_widths(const CifarRecipe& recipe) {
  if (recipe.depth > 0) scaled(16 * recipe.k, recipe.width / 16);
  else
    for (const std::int64_t channels : recipe.widths) scaled(channels, recipe.width);
}

nn::Sequential make_network(const CifarRecipe& recipe, const Tensor& images) {
  if (recipe.depth > 0) {
    nn::Sequential network(nn::cifar10_normalise());
    return network.add(nn::wide_resnet(recipe.depth, scaled(recipe.k, recipe.width)));
  }
  nn::AirbenchOptions options{.batch_norm_momentum = recipe.norm_share, .logits_scale = recipe.logits_scale};
  for (std::size_t i = 0; i < recipe.widths.size(); ++i) options.widths[i] = scaled(recipe.widths[i], recipe.width);
  if (recipe.silu) options.activation = functions::Silu{};
  const Tensor filters = no_grad([&] { return nn::whitening_filters(nn::cifar10_normalise()(images)); });
  nn::Sequential network = nn::airbench(filters, options);
  if (!recipe.scaled_start) return network;
  for (const auto& [name, parameter] : nn::named_parameters(network)) {
    const Tensor values = parameter.detach();
    if (name == "1.bias") values.copy_(nn::fan_in_uniform(values.shape(), 12));
    if (values.rank() == 2) values.copy_(values / sqrt(mean(values * values) - mean(values) * mean(values)));
  }
  return network;
}

std::unique_ptr<train::Learner> make_learner(const CifarRecipe& recipe, const data::DataLoaders& data,
                                             const nn::Sequential& network, train::LearnerOptions options) {
  const std::int64_t total = data.train.batches_in(recipe.epochs);
  options.loss = nn::cross_entropy_with({.label_smoothing = recipe.label_smoothing});
  options.metrics = {train::accuracy};
  options.optimizer =
      recipe.depth > 0
          ? train::adamw(
                {.lr = recipe.filters.lr, .beta1 = recipe.filters.momentum, .weight_decay = recipe.filters.decay})
          : train::sgd();
  options.groups = [=](nn::Module& model) { return groups_of(recipe, model, data.train.options().batch_size, total); };
  auto learn = std::make_unique<train::Learner>(data, network, options);
  if (auto transforms = transforms_of(recipe); !transforms.empty())
    learn->add(std::make_shared<train::TransformCallback>(std::move(transforms)));
  if (recipe.mixup > 0) learn->mixup({.alpha = recipe.mixup});
  if (recipe.cutmix > 0) learn->cutmix({.alpha = recipe.cutmix});
  learn->add(lr_schedule(recipe));
  if (recipe.depth > 0) return learn;
  const double share = static_cast<double>(data.train.batches_in(recipe.whitening_epochs)) / static_cast<double>(total);
  const train::Schedule line = share < 1
                                   ? train::sequence({{share, train::linear(1, 0)}, {1 - share, train::constant(0)}})
                                   : train::linear(1, 1 - 1 / share);
  if (recipe.whitening_line) learn->add(std::make_shared<train::LrSchedule>(line, train::Schedule(), whitening_bias));
  for (const auto& [name, parameter] : nn::named_parameters(*learn->model))
    if (name == "1.bias")
      learn->add(std::make_shared<train::FreezeAfter>(std::vector{parameter}, recipe.whitening_epochs));
  if (recipe.lookahead_from >= 0)
    learn->add(std::make_shared<train::Lookahead>(
        train::LookaheadOptions{.first_epoch = recipe.lookahead_from}));  // its defaults are airbench's
  return learn;
}

train::TtaOptions tta_of(const CifarRecipe& recipe) {
  if (recipe.tta == 0) return {};
  return {.views = train::airbench_views(recipe.tta_plain), .unsure_share = recipe.tta};
}

}  // namespace mixgrad::apps
