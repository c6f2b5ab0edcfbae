#include "train/manifold_mixup.h"

#include "augment/mixup.h"
#include "core/index.h"
#include "train/learner.h"

namespace mixgrad::train {

ManifoldMixUpCallback::ManifoldMixUpCallback(const ManifoldMixUpOptions& options)
    : PairMixCallback(std::make_shared<augment::MixUp>(options.mix), {.off_from = options.off_from}),
      wanted_(options.layers) {}

std::string ManifoldMixUpCallback::description() const {
  std::string text = "manifold " + PairMixCallback::description() + ", in front of";
  for (const std::string& layer : wanted_) text += " " + layer;
  return wanted_.empty() ? text + " each layer with parameters" : text;
}

void ManifoldMixUpCallback::on_train_begin(Learner& learner) {
  PairMixCallback::on_train_begin(learner);
  layers_ = wanted_;
  const auto modules = nn::named_modules(*learner.model);
  if (layers_.empty())
    for (const auto& [name, module] : modules)
      if (name.find('.') == std::string::npos && nn::num_parameters(*module) > 0) layers_.push_back(name);
  check(!layers_.empty(), "manifold mixup: ", learner.model->name(), " has no layers with parameters");
  for (const std::string& layer : layers_) {
    const auto found = std::ranges::find(modules, layer, [](const auto& named) { return named.first; });
    check(found != modules.end(), "manifold mixup: the model has no layer ", printable(layer));
    hooks_.push_back(std::make_unique<nn::InputHook>(*found->second, [&learner, layer](const Tensor& h) {
      if (!learner.model->training() || !learner.plan.mix || learner.plan.mix->layer != layer) return h;
      return augment::mix(
          augment::MixedInput{h, gather(h, learner.planned("plan.mix.partners")), learner.planned("plan.mix.lambda")});
    }));
  }
}

void ManifoldMixUpCallback::on_batch_plan(Learner& learner, BatchPlan& plan) {
  PairMixCallback::on_batch_plan(learner, plan);
  if (!plan.mix) return;
  Random random(learner.options.seed, Purpose::pairing, plan.pass, static_cast<std::uint32_t>(plan.batch));
  plan.mix->layer = layers_[random.below(static_cast<std::uint32_t>(layers_.size()))];
}

void ManifoldMixUpCallback::on_train_end(Learner& learner) noexcept {
  hooks_.clear();
  PairMixCallback::on_train_end(learner);
}

}  // namespace mixgrad::train
