// The recipes of train_cifar: six steps of each, with small networks, are PyTorch's (golden/cifar_cases.py); and what
// they print.
#include <doctest/doctest.h>

#include <set>

#include "apps/cifar_recipe.h"
#include "tests/golden.h"
#include "tests/golden_models.h"

namespace mixgrad::test {
namespace {

using apps::CifarRecipe;

// The same eight images in every batch, as f32 or f64.
class EightImages : public data::Dataset {
 public:
  EightImages(DType dtype, std::int64_t batches) : batches_(batches) {
    images = noise({8, 32, 32, 3}, 77, dtype) / 2.0 + 0.5;
    std::vector<std::int32_t> classes;
    for (int i = 0; i < 8; ++i) classes.push_back((3 + 7 * i) % 10);
    labels = Tensor::from(classes, {8});
  }
  std::int64_t size() const override { return 8 * batches_; }
  data::Batch get(std::span<const std::int32_t>) const override { return {images, labels}; }
  const std::vector<std::string>& classes() const override { return data::cifar10_classes(); }

  Tensor images, labels;

 private:
  std::int64_t batches_;
};

// Compares the first loss and gradients with the file's, and the parameters after steps 1, 2 and 6, the last.
class Compare : public train::StepCallback {
 public:
  Compare(const GoldenFile& golden, double tolerance, double batch)
      : golden_(golden), tolerance_(tolerance), batch_(batch) {}

  void on_batch_plan(train::Learner&, train::BatchPlan& plan) override {
    if (!plan.mix) return;
    plan.mix->plan.lambda = {0.9375f, 0.5f, 1, 0.640625f, 0.75f, 0.5625f, 0.984375f, 0.8125f};
    plan.mix->plan.permutation = {3, 5, 0, 7, 4, 1, 2, 6};
  }
  void on_backward_end(train::Learner& learner) override {
    if (steps++ > 0) return;
    check_near("logits", learner.output);
    check_near("loss", learner.loss * batch_);
    for (const auto& [name, tensor] : nn::named_parameters(*learner.model))
      check_near("gradient." + name, digest(tensor.grad() * batch_));
  }
  void on_batch_end(train::Learner& learner) override {
    if (steps != 1 && steps != 2 && steps != 6) return;
    for (const auto& [name, tensor] : nn::named_parameters(*learner.model))
      check_near(text_of("step", steps, ".", name), digest(tensor));
    if (steps < 6) return;
    for (const auto& [name, tensor] : nn::named_buffers(*learner.model))
      if (name.find("running") != std::string::npos) check_near(text_of("step6.", name), tensor);
    learner.stop();
  }
  train::StepWork step_work() const override { return train::StepWork::varies; }
  void check_near(const std::string& tensor, const Tensor& actual) const {
    CAPTURE(tensor);
    CHECK(relative_error(actual, golden_[tensor]) <= tolerance_);
  }

  int steps = 0;

 private:
  const GoldenFile& golden_;
  double tolerance_, batch_;
};

// per_epoch: of the T batches of the training, which the file names.
void check_recipe(const std::string& name, std::int64_t per_epoch, double whitening_epochs, Tolerance tolerances) {
  const GoldenFile golden("cifar_" + name);
  in_both(tolerances.f64, tolerances.f32, [&](DType dtype, double tolerance) {
    CifarRecipe recipe = apps::cifar_recipe(name);
    const bool wide = recipe.depth > 0;
    recipe.depth = wide ? 10 : 0;
    recipe.k = 1;
    recipe.widths = {4, 6, 6};
    recipe.padding = 0;
    recipe.flip = false;
    recipe.brightness = recipe.contrast = 0;
    recipe.epochs = golden["total_steps"].item() / static_cast<double>(per_epoch);
    recipe.whitening_epochs = whitening_epochs;
    recipe.lookahead_from = std::min(recipe.lookahead_from, 0);
    const auto eight = std::make_shared<EightImages>(dtype, per_epoch);
    nn::Sequential network = wide ? nn::wide_resnet(10, 1) : apps::make_network(recipe, eight->images.to(DType::f32));
    Start start(dtype);
    network.visit(start);
    for (const auto& [key, tensor] : nn::named_buffers(network))
      if (key == "1.weight") tensor.copy_(noise(tensor.shape(), 50, dtype) / 2.0);
    const data::DataLoader loader(eight, {.batch_size = 8});
    const auto learn = apps::make_learner(recipe, {loader, loader}, network, {.verbose = false});
    const auto compare = std::make_shared<Compare>(golden, tolerance, wide ? 1.0 : 8.0);
    learn->add(compare);
    learn->fit(recipe.epochs);
    CHECK(compare->steps == 6);
    compare->check_near("eval_logits", learn->predict(eight->images));
  });
}

TEST_CASE("golden: six steps of the recipe airbench equal PyTorch's: SGD in groups, lookahead, freezing") {
  check_recipe("airbench", 5, 1, {.f64 = 3e-7, .f32 = 1e-4});  // lookahead's rate is f32
}
TEST_CASE("golden: six steps of the recipe muon equal PyTorch's: Muon, a line of its own for the whitening's bias") {
  check_recipe("muon", 10, 0.6, {.f64 = 1e-10, .f32 = 3e-4});
}
TEST_CASE("golden: six steps of the recipe fast equal PyTorch's: Muon that normalises now and then, SiLU") {
  check_recipe("fast", 60, 0.05, {.f64 = 1e-10, .f32 = 3e-4});
}
TEST_CASE("golden: six steps of the recipe wrn22 equal PyTorch's: AdamW in one cycle, with mixup") {
  check_recipe("wrn22", 10, 0, {.f64 = 1e-10, .f32 = 3e-4});
}

TEST_CASE("cifar recipes: lookahead begins with epoch 3; the whitening's bias has its line, and is frozen in time") {
  const auto eight = std::make_shared<EightImages>(DType::f32, 4);
  const auto descriptions = [&](CifarRecipe recipe) {
    recipe.widths = {4, 6, 6};
    const data::DataLoader loader(eight, {.batch_size = 8});
    const auto learn =
        apps::make_learner(recipe, {loader, loader}, apps::make_network(recipe, eight->images), {.verbose = false});
    std::string all;
    for (const auto& callback : learn->callbacks()) all += train::description_of(*callback) + "\n";
    return all;
  };
  const std::string airbench = descriptions(apps::cifar_recipe("airbench"));
  CHECK(airbench.find("Lookahead: every 5, first_epoch 3, decay 0 0.000773") != std::string::npos);
  CHECK(airbench.find("FreezeAfter: epochs 3, ") != std::string::npos);
  CHECK(airbench.find("group 2") == std::string::npos);
  // 8 epochs of 4 steps; of .8 epochs 4 steps, an eighth.
  CifarRecipe muon = apps::cifar_recipe("muon");
  CHECK(descriptions(muon).find("LrSchedule: group 2, lr 1 0.73") != std::string::npos);
  muon.whitening_epochs = 0.8;
  CHECK(descriptions(muon).find("LrSchedule: group 2, lr 1 0.2 0 0 0 0 0 0 0 0 0") != std::string::npos);
  CHECK(descriptions(muon).find("Lookahead") == std::string::npos);
}

TEST_CASE("cifar recipes: what their authors' scripts say") {
  struct Facts {
    const char* name;
    double epochs;
    std::int64_t batch_size, whitening_images;
    double smoothing, tta, filters_lr, filters_momentum, shifts_lr, head_lr, head_decay, norm_share;
  };
  for (const Facts& f : {Facts{"airbench", 9.9, 1024, 5000, 0.2, 1, 1.46484e-3, 0.85, 0.09375, 1.46484e-3, 1.3623, 0.4},
                         Facts{"muon", 8, 2000, 5000, 0.2, 1, 0.24, 0.6, 0.053, 0.67, 0.00597, 0.4},
                         Facts{"fast", 7.59, 1536, 960, 0.09, 0.25, 0.205, 0.655, 0.0573, 0.5415, 0.002955, 0.4434},
                         Facts{"wrn22", 24, 512, 5000, 0, 0, 3e-3, 0.95, 0, 0, 0, 0.4}}) {
    CAPTURE(f.name);
    const CifarRecipe recipe = apps::cifar_recipe(f.name);
    CHECK(recipe.epochs == f.epochs);
    CHECK(recipe.batch_size == f.batch_size);
    CHECK(recipe.whitening_images == f.whitening_images);
    CHECK(recipe.label_smoothing == f.smoothing);
    CHECK(recipe.tta == f.tta);
    CHECK(recipe.filters.lr == f.filters_lr);
    CHECK(recipe.filters.momentum == f.filters_momentum);
    CHECK(recipe.shifts.lr == f.shifts_lr);
    CHECK(recipe.head.lr == f.head_lr);
    CHECK(recipe.head.decay == f.head_decay);
    CHECK(recipe.norm_share == f.norm_share);
  }
  // Views: shares of 1/4 and 1/8, or the plain mean of six.
  const auto shares = [](const char* name) {
    std::vector<double> weights;
    for (const train::View& view : apps::tta_of(apps::cifar_recipe(name)).views) weights.push_back(view.weight);
    return weights;
  };
  for (const char* name : {"airbench", "muon"}) CHECK(shares(name) == std::vector<double>{2, 1, 1, 2, 1, 1});
  CHECK(shares("fast") == std::vector<double>(6, 1));
  CHECK(apps::tta_of(apps::cifar_recipe("fast")).unsure_share == 0.25);
}

TEST_CASE("cifar recipes: wrn22's one cycle ends at a hundred thousandth of its largest rate") {
  CifarRecipe recipe = apps::cifar_recipe("wrn22");
  recipe.depth = 10;
  recipe.k = 1;
  const auto eight = std::make_shared<EightImages>(DType::f32, 1);
  const data::DataLoader loader(eight, {.batch_size = 8});
  const auto learn = apps::make_learner(recipe, {loader, loader}, nn::wide_resnet(10, 1), {.verbose = false});
  std::string schedule;
  for (const auto& callback : learn->callbacks())
    if (const std::string text = train::description_of(*callback); text.starts_with("LrSchedule")) schedule = text;
  CHECK(schedule.starts_with("LrSchedule: lr 0.0003 "));
  CHECK(schedule.find(" 0.003 ") != std::string::npos);
  CHECK(schedule.find(" 3e-08, momentum 0.95 ") != std::string::npos);
}

TEST_CASE("cifar recipes: each setting has a name of its own; a part that is changed changes one of them") {
  for (const char* name : {"airbench", "muon", "fast", "wrn22"}) {
    const CifarRecipe recipe = apps::cifar_recipe(name);
    std::set<std::string> names;
    for (const auto& [key, value] : apps::settings_of(recipe)) CHECK(names.insert(key).second);
    for (const auto& change : std::vector<std::function<void(CifarRecipe&)>>{
             [](CifarRecipe& r) { r.epochs += 1; }, [](CifarRecipe& r) { r.batch_size += 1; },
             [](CifarRecipe& r) { r.width = 0.25; }, [](CifarRecipe& r) { r.label_smoothing = 0.5; },
             [](CifarRecipe& r) { r.mixup = 0.7; }, [](CifarRecipe& r) { r.cutmix = 0.7; },
             [](CifarRecipe& r) { r.tta = 0.5; }, [](CifarRecipe& r) { r.filters.lr *= 2; },
             [](CifarRecipe& r) { r.padding += 1; }}) {
      CifarRecipe changed = recipe;
      change(changed);
      int differences = 0;
      const auto before = apps::settings_of(recipe), after = apps::settings_of(changed);
      REQUIRE(before.size() == after.size());
      for (std::size_t i = 0; i < before.size(); ++i) differences += before[i] != after[i];
      CHECK(differences == 1);
    }
  }
  CHECK_THROWS_WITH_AS(apps::cifar_recipe("best"), "there is no recipe best, but airbench, muon, fast, wrn22", Error);
}

}  // namespace
}  // namespace mixgrad::test
