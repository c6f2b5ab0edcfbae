#include "train/manifold_mixup.h"

#include <algorithm>

#include "augment/mixup.h"
#include "core/autograd.h"
#include "core/index.h"
#include "core/pointwise.h"
#include "core/view.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

nn::Module* find_layer(nn::Module& model, const std::string& name) {
  const auto modules = nn::named_modules(model);
  const auto found = std::ranges::find(modules, name, [](const auto& named) { return named.first; });
  return found == modules.end() ? nullptr : found->second;
}

// As mix(h, plan). Partners are a permutation; by its inverse each gradient is fetched instead of added.
Tensor mix_within(const Tensor& h, const Tensor& partners, const Tensor& inverse, const Tensor& lambda) {
  const Tensor x = h.detach();
  const Tensor mixed = augment::mix(augment::MixedInput{x, gather(x, partners), lambda});
  record(mixed, "mix within", {h}, [lambda, inverse](const Tensor& grad, Gradients& to) {
    Shape column = grad.shape();
    for (int axis = 1; axis < grad.rank(); ++axis) column = column.with(axis, 1);
    const Tensor own = grad * reshape(lambda.to(grad.dtype()), column);
    to.add(0, own + gather(grad - own, inverse));
  });
  return mixed;
}

}  // namespace

ManifoldMixUpCallback::ManifoldMixUpCallback(const ManifoldMixUpOptions& options)
    : PairMixCallback(std::make_shared<augment::MixUp>(options.draws), {.off_from = options.off_from}),
      wanted_(options.layers) {}

std::string ManifoldMixUpCallback::description() const {
  std::string text = "manifold " + PairMixCallback::description() + ", in front of";
  for (const std::string& layer : wanted_) text += " " + layer;
  return wanted_.empty() ? text + " each layer with weights" : text;
}

void ManifoldMixUpCallback::on_train_begin(Learner& learner) {
  PairMixCallback::on_train_begin(learner);
  layers_ = wanted_;
  const auto has_weights = [](nn::Module& module) {
    return std::ranges::any_of(nn::parameters(module), [](const Tensor& p) { return p.rank() > 1; });
  };
  if (layers_.empty())
    for (const auto& [name, module] : nn::named_modules(*learner.model))
      if (name.find('.') == std::string::npos && has_weights(*module)) layers_.push_back(name);
  check(!layers_.empty(), "manifold mixup: ", learner.model->name(), " has no layers with weights");
  for (const std::string& layer : layers_)
    check(find_layer(*learner.model, layer) != nullptr, "manifold mixup: the model has no layer ", printable(layer));
}

void ManifoldMixUpCallback::on_batch_plan(Learner& learner, BatchPlan& plan) {
  PairMixCallback::on_batch_plan(learner, plan);
  if (!plan.mix) return;
  Random random(learner.options.seed, Purpose::pairing, plan.pass, static_cast<std::uint32_t>(plan.batch), 1);
  plan.mix->layer = layers_[random.below(static_cast<std::uint32_t>(layers_.size()))];
}

HiddenMix::HiddenMix(nn::Module& model, const BatchPlan& plan, const NamedValues& numbers) {
  if (!plan.mix || plan.mix->layer.empty()) return;
  layer_ = plan.mix->layer;
  nn::Module* const module = find_layer(model, layer_);
  check(module != nullptr, "batch plan: the model has no layer ", printable(layer_));
  hook_.emplace(*module, [this, &numbers](const Tensor& h) {
    ++calls_;
    return mix_within(h, numbers.at("plan.mix.partners"), numbers.at("plan.mix.inverse"),
                      numbers.at("plan.mix.lambda"));
  });
}

void HiddenMix::check_mixed() const {
  check(!hook_ || calls_ == 1, "manifold mixup: in front of ", printable(layer_), ", which the model called ", calls_,
        " times in a step; pairs are made in front of a layer that is called once");
}

}  // namespace mixgrad::train
