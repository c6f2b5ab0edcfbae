// What is around the loop of learner.cpp: a fit's beginning and end, and what a program calls besides.
#include <array>
#include <cmath>

#include "core/autograd.h"
#include "train/learner.h"
#include "train/progress_bar.h"
#include "train/recorder.h"
#include "train/resumable.h"
#include "train/schedule.h"
#include "train/step_runner.h"

namespace mixgrad::train {
namespace {

// The loss as it is without callbacks: it knows nothing of mixed targets.
auto plain_loss(const nn::Loss& loss) {
  return [loss](const Tensor& output, const augment::Target& target) {
    const Tensor* plain = std::get_if<Tensor>(&target);
    check(plain != nullptr, loss.name, ": the target is mixed; wrap the loss in MixUpLoss");
    return loss(output, *plain);
  };
}

std::shared_ptr<nn::Module> moved(std::shared_ptr<nn::Module> model, Device device) {
  model->to(device);
  return model;
}

}  // namespace

Learner::Learner(data::DataLoaders data, std::shared_ptr<nn::Module> model, LearnerOptions options)
    : data(data.to(options.device)),
      options(std::move(options)),
      model(moved(std::move(model), this->options.device)),
      optimizer(std::make_unique<Optimizer>(this->options.groups(*this->model), this->options.optimizer)),
      recorder(std::make_shared<Recorder>(this->options.verbose)),
      loss_function(plain_loss(this->options.loss)),
      results_(this->options.device, std::ssize(this->options.train_metrics)) {
  if (this->options.verbose) add(std::make_shared<ProgressBar>());
  add(recorder);
}

Learner::~Learner() = default;

void Learner::begin_fit(double epochs, std::optional<double> lr) {
  check(!fitting_, "fit: called while training");
  check(epochs >= 0 && epochs <= 1e6, "fit: ", epochs, " epochs");
  const double rate = lr.value_or(optimizer->rates.front().lr);
  check(std::isfinite(rate) && rate >= 0, "fit: ", rate, " is not a learning rate");
  this->epochs = epochs;
  if (start_) {
    check(start_->epochs == epochs, "fit: ", epochs, " epochs, the training that is resumed has ", start_->epochs);
    check(lr.value_or(start_->lr) == start_->lr, "fit: learning rate ", rate,
          ", the training that is resumed began with ", start_->lr);
    if (start_->compare) start_->compare(*this);
    first_lr = start_->lr;
  } else {
    first_lr = rate;
    if (lr) set_lr(optimizer->rates, *lr);
    optimizer->zero_grad();  // an exception may have left gradients behind
  }
  stopping = false;
  results_.clear();
  const data::Dataset& dataset = data.train.dataset();
  if (dataset.resident()) sample_ = dataset.get(std::array<std::int32_t, 1>{0}).x.shape();
  runner_ = options.runner(*this);
  check(runner_ != nullptr, "fit: the option runner made none");
  fitting_ = true;
}

// However training ends; what was put on last comes off first.
void Learner::end_fit() {
  for (auto callback = callbacks_.rbegin(); callback != callbacks_.rend(); ++callback) (*callback)->on_train_end(*this);
  model->eval();
  runner_.reset();
  fitting_ = false;
}

std::int64_t Learner::total_batches() const { return data.train.batches_in(epochs); }

std::int64_t Learner::num_batches() const {
  const std::int64_t whole = data.train.num_batches();
  return std::clamp<std::int64_t>(total_batches() - epoch * whole, 0, whole);
}

void Learner::step_optimizer() {
  if (const auto rates = numbers_.find("plan.rates"); rates != numbers_.end()) optimizer->step(rates->second);
  else optimizer->step();
  optimizer->zero_grad();
}

void Learner::fit_one_cycle(double epochs, double lr_max) {
  check(std::isfinite(lr_max) && lr_max >= 0, "fit_one_cycle: ", lr_max, " is not a learning rate");
  check(!fitting_, "fit: called while training");
  auto callbacks = callbacks_;
  callbacks.push_back(std::make_shared<LrSchedule>(one_cycle_lr(lr_max), one_cycle_momentum()));
  const Temporarily scheduled(callbacks_, std::move(callbacks));
  const Temporarily rates(optimizer->rates, optimizer->rates);
  fit(epochs);
}

void Learner::fit_with(std::shared_ptr<Callback> callback, double epochs) {
  check(!fitting_, "fit: called while training");
  check(!start_, "fit_with: a training was resumed; fit it before all else");
  auto callbacks = callbacks_;
  std::erase_if(callbacks, [](const auto& own) { return description_of(*own).empty(); });
  callbacks.push_back(std::move(callback));
  const Temporarily others(callbacks_, std::move(callbacks));
  fit(epochs);
}

Validation Learner::validate() {
  return train::validate(*model, data.valid, options.loss, options.metrics, options.device);
}

Tensor Learner::predict(const Tensor& x) {
  const NoGrad off;
  const nn::EvalMode eval(*model);
  return (*model)(x.to(options.device));
}

const Tensor& Learner::planned(const std::string& name) const {
  const auto found = numbers_.find(name);
  check(found != numbers_.end(), "learner: the plan of this batch has no ", name);
  return found->second;
}

const StepRunner& Learner::runner() const {
  check(runner_ != nullptr, "learner: a runner exists only during fit");
  return *runner_;
}

const Tensor& Learner::x() const {
  const Tensor* plain = std::get_if<Tensor>(&input);
  check(plain != nullptr, "learner: the input is two batches and lambda, not one tensor");
  return *plain;
}

Learner& Learner::mixup(const MixUpOptions& options) { return mix_by(std::make_shared<MixUpCallback>(options)); }
Learner& Learner::cutmix(const CutMixOptions& options) { return mix_by(std::make_shared<CutMixCallback>(options)); }

Learner& Learner::manifold_mixup(const ManifoldMixUpOptions& options) {
  return mix_by(std::make_shared<ManifoldMixUpCallback>(options));
}

Learner& Learner::mixup_or_cutmix(const MixUpOrCutMixOptions& o) {
  check(o.cutmix >= 0 && o.cutmix <= 1, "mixup_or_cutmix: the share that is cut must be between 0 and 1, got ",
        o.cutmix);
  std::vector<WeightedMix> mixes{{std::make_shared<augment::MixUp>(o.mixup_draws), 1 - o.cutmix},
                                 {std::make_shared<augment::CutMix>(o.cutmix_draws), o.cutmix}};
  return mix_by(std::make_shared<PairMixCallback>(std::move(mixes), PairMixOptions{.off_from = o.off_from}));
}

Learner& Learner::reg_mixup(const RegMixUpOptions& o) {
  return mix_by(std::make_shared<PairMixCallback>(std::make_shared<augment::MixUp>(o.draws),
                                                  PairMixOptions{.off_from = o.off_from, .eta = o.eta}));
}

Learner& Learner::c_mixup(const CMixUpOptions& o) {
  return mix_by(std::make_shared<PairMixCallback>(
      std::make_shared<augment::MixUp>(o.draws),
      PairMixOptions{
          .stack_y = false, .source = MixSource::near_targets, .off_from = o.off_from, .bandwidth = o.bandwidth}));
}

Learner& Learner::mix_by(std::shared_ptr<Callback> mix) {
  check(!fitting_, "learner: a mix was asked for while training");
  std::erase(callbacks_, mix_);
  return add(mix_ = std::move(mix));
}

Learner& Learner::add(std::shared_ptr<Callback> callback) {
  check(!fitting_, "learner: add() called while training");
  callbacks_.push_back(std::move(callback));
  return *this;
}

}  // namespace mixgrad::train
