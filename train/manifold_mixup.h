// Manifold mixup (Verma, Lamb, Beckham, Najafi, Mitliagkas, Courville, Lopez-Paz and Bengio, "Manifold mixup: Better
// representations by interpolating hidden states", 2019): for each batch a layer is drawn, and what it is given is
// mixed. Below it, samples are computed once each; their pairs are made there.
//
//   h = g_k(x)      h~_i = lambda_i h_i + (1 - lambda_i) h_j      output = f_k(h~)      k drawn from `layers`
//
// A layer in front of all others mixes inputs, as mixup does. On a GPU each layer is a kind of step of its own, of
// which at most 16 are captured.
#pragma once

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "nn/module.h"
#include "train/pair_mix_callback.h"

namespace mixgrad::train {

struct ManifoldMixUpOptions {
  augment::MixOptions draws{.alpha = 2};
  // In front of which modules, by the names of nn::named_modules. Empty: those right below the model that have, or have
  // below them, a weight of several axes, as convolutions and blocks of them do but batch norm does not.
  std::vector<std::string> layers = {};
  double off_from = std::numeric_limits<double>::infinity();  // PairMixOptions
};

// The layer of batch b in pass p is drawn from Random(learner.options.seed, Purpose::pairing, p, b, 1).
class ManifoldMixUpCallback : public PairMixCallback {
 public:
  // Throws on options that draw_mix_plan would refuse.
  explicit ManifoldMixUpCallback(const ManifoldMixUpOptions& options = {});

  // Throws where the model has no such layer.
  void on_train_begin(Learner& learner) override;
  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  std::string description() const override;

 private:
  std::vector<std::string> wanted_, layers_;  // of this fit
};

// While it lives, in a step: what the layer that the plan names is given is mixed; nothing where it names none.
class HiddenMix {
 public:
  HiddenMix(nn::Module& model, const BatchPlan& plan, const NamedValues& numbers);
  // Throws unless the layer has been called just once: else pairs would be mixed twice, or not at all.
  void check_mixed() const;

 private:
  std::string layer_;
  int calls_ = 0;
  std::optional<nn::InputHook> hook_;
};

}  // namespace mixgrad::train
