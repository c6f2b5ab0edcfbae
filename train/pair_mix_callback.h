// PairMixCallback: mixup, CutMix or another mix of pairs (augment/pair_mix.h) as a part of training. It draws the plan
// of each training batch, by which the batch is mixed; for as long as training lasts, the loss is one that understands
// mixed targets. Validation and prediction never meet either.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

#include "augment/c_mixup.h"
#include "augment/cutmix.h"
#include "augment/mixup.h"
#include "augment/mixup_loss.h"
#include "data/data_loader.h"
#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

enum class MixSource {
  shuffled_self,  // partners come from the same batch
  second_loader,  // partners come from a second pass over the data in another order: mixup's paper
  near_targets,   // partners are drawn from all samples by the nearness of their targets (augment/c_mixup.h)
};

// Makes the plan of a batch instead of the random draw, such as to replay a printed one.
using MakeMixPlan = std::function<augment::MixPlan(std::uint32_t pass, std::int64_t batch, std::int64_t batch_size)>;

struct PairMixOptions {
  bool stack_x = false;  // give the model [x, partner, lambda] instead of the combination
  bool stack_y = true;   // give the loss [y, partner, lambda] instead of the mixture of targets; without it, class
                         // indices become one-hot rows and are mixed
  MixSource source = MixSource::shuffled_self;
  augment::LossWeight loss_weight = augment::LossWeight::lambda;  // needs stack_y
  MakeMixPlan plan = nullptr;
  double off_from = std::numeric_limits<double>::infinity();  // from this epoch of a fit on, or part, nothing is mixed
  double bandwidth = 0;                                       // of near_targets
  std::optional<double> eta = {};  // RegMixup: train on the clean batch too; the weight of the mixed one's loss
};

struct WeightedMix {
  std::shared_ptr<const augment::PairMix> mix;
  double weight = 1;  // relative to the sum of all
};

// The plan of batch b in pass p over the data is drawn from Random(learner.options.seed, Purpose::mixup, p, b); what
// else is drawn for it with Purpose::pairing: which of several mixes with index 0, near targets with index 2.
class PairMixCallback : public Callback, public Resumable {
 public:
  // Throws on options that do not fit each other, such as a loss_weight without stack_y, or are out of range.
  explicit PairMixCallback(std::shared_ptr<const augment::PairMix> mix, const PairMixOptions& options = {})
      : PairMixCallback(std::vector<WeightedMix>{{std::move(mix)}}, options) {}
  // The same with several, of which one is drawn for each batch. Throws as well unless weights are finite, not negative
  // and not all 0, and where plans are the program's own.
  explicit PairMixCallback(std::vector<WeightedMix> mixes, const PairMixOptions& options = {});

  void on_train_begin(Learner& learner) override;
  void on_epoch_begin(Learner& learner) override;
  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  void on_train_end(Learner& learner) noexcept override;
  std::string description() const override;

 private:
  const PlannedMix& drawn_mix(const Learner& learner, const BatchPlan& plan);
  std::shared_ptr<const augment::PairMix> choose(const Learner& learner, std::uint32_t pass, std::int64_t batch) const;

  struct Drawn {
    std::uint32_t pass = 0;
    std::int64_t first = 0;  // batch
    Shape sample = {};
    std::vector<PlannedMix> mixes;
  };

  std::vector<WeightedMix> mixes_;
  PairMixOptions options_;
  Drawn drawn_;
  std::function<Tensor(const Tensor&, const augment::Target&)> original_loss_;  // while training, with stack_y
  std::optional<data::DataLoader> second_loader_;
  std::optional<data::DataLoader::Epoch> second_epoch_;
  std::optional<augment::NearTargets> near_targets_;
};

struct MixUpOptions {
  double alpha = 0.4;
  bool stack_x = false, stack_y = true;         // PairMixOptions
  MixSource source = MixSource::shuffled_self;  // PairMixOptions
  augment::LambdaPer lambda_per = augment::LambdaPer::sample;
  bool dedupe = true;                                             // lambda = max(t, 1 - t)
  augment::LossWeight loss_weight = augment::LossWeight::lambda;  // PairMixOptions
  MakeMixPlan plan = nullptr;
  double probability = 1;                                     // MixOptions
  augment::Pairing pairing = augment::Pairing::shuffle;       // MixOptions
  double off_from = std::numeric_limits<double>::infinity();  // PairMixOptions
};

struct MixUpCallback : PairMixCallback {
  // Throws on an alpha that draw_mix_plan would refuse, or a loss_weight without stack_y.
  explicit MixUpCallback(const MixUpOptions& options = {});
};

struct CutMixOptions {
  double alpha = 1;
  augment::LambdaPer box_per = augment::LambdaPer::sample;
  MixSource source = MixSource::shuffled_self;
  MakeMixPlan plan = nullptr;
  double probability = 1;
  augment::Pairing pairing = augment::Pairing::shuffle;
  double off_from = std::numeric_limits<double>::infinity();
};

struct CutMixCallback : PairMixCallback {
  explicit CutMixCallback(const CutMixOptions& options = {});
};

struct MixUpOrCutMixOptions {
  double cutmix = 0.5;  // the share of batches that are cut
  augment::MixOptions mixup_draws = {};
  augment::CutMixDraws cutmix_draws = {};
  double off_from = std::numeric_limits<double>::infinity();
};

// Lambda is max(t, 1 - t), as in mixup.
struct RegMixUpOptions {
  double eta = 1;
  augment::MixOptions draws{.alpha = 10};
  double off_from = std::numeric_limits<double>::infinity();
};

// For targets that are numbers: they are mixed as such. Lambda is t: as partners are drawn from all samples, there are
// no twins; draws.pairing means nothing here. The targets are read, each sample once, when a fit begins.
struct CMixUpOptions {
  double bandwidth = 1;  // in units of the targets
  augment::MixOptions draws{.alpha = 2, .dedupe = false};
  double off_from = std::numeric_limits<double>::infinity();
};

}  // namespace mixgrad::train
