// MixUpCallback: mixup as a part of training. Before each training batch it draws a plan and mixes input and target by
// it; for as long as training lasts, the loss is one that understands mixed targets. Validation and prediction never
// meet either.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "augment/mix_plan.h"
#include "augment/mixup_loss.h"
#include "data/data_loader.h"
#include "train/callback.h"

namespace mixgrad::train {

enum class MixSource {
  shuffled_self,  // partners come from the same batch
  second_loader,  // partners come from a second pass over the data in another order: the paper's way
};

struct MixUpOptions {
  double alpha = 0.4;
  bool stack_x = false;  // give the model [x, partner, lambda] instead of the mixture
  bool stack_y = true;   // give the loss [y, partner, lambda] instead of the mixture of targets; without it, class
                         // indices become one-hot rows and are mixed
  MixSource source = MixSource::shuffled_self;
  augment::LambdaPer lambda_per = augment::LambdaPer::sample;
  bool dedupe = true;                                             // lambda = max(t, 1 - t)
  augment::LossWeight loss_weight = augment::LossWeight::lambda;  // needs stack_y
  // Where given, makes the plan of a batch instead of the random draw, such as to replay a printed one.
  std::function<augment::MixPlan(std::uint32_t pass, std::int64_t batch, std::int64_t batch_size)> plan = nullptr;
};

// The plan of batch b in pass p over the data is drawn from Random(learner.options.seed, Purpose::mixup, p, b). A batch
// of a resident dataset that no other callback has asked for is gathered and mixed in one pass
// (augment/gather_mixed.h).
class MixUpCallback : public StepCallback {
 public:
  // Throws on an alpha that draw_mix_plan would refuse, or a loss_weight without stack_y.
  explicit MixUpCallback(const MixUpOptions& options = {});

  void on_train_begin(Learner& learner) override;
  void on_epoch_begin(Learner& learner) override;
  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  void on_batch_begin(Learner& learner) override;
  void on_train_end(Learner& learner) noexcept override;
  std::string description() const override;
  StepWork step_work() const override { return StepWork::same; }

 private:
  const augment::MixPlan& drawn_plan(const Learner& learner, std::int64_t batch);
  augment::Target target_of(augment::MixedTarget target, const Learner& learner) const;

  struct Drawn {
    std::uint32_t pass = 0;
    std::int64_t first = 0;  // batch
    std::vector<augment::MixPlan> plans;
  };

  MixUpOptions options_;
  Drawn drawn_;
  augment::MixPlan plan_;                                                       // of the batch that was planned last
  std::function<Tensor(const Tensor&, const augment::Target&)> original_loss_;  // while training, with stack_y
  std::optional<data::DataLoader> second_loader_;
  std::optional<data::DataLoader::Epoch> second_epoch_;
};

}  // namespace mixgrad::train
