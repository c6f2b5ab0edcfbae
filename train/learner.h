// Learner: data, a model, a loss and an optimizer, and the loop that brings them together.
//
//   auto data  = data::mnist(folder, {.digits = {3, 7}});
//   auto model = nn::simple_cnn({3, 16, 16, 2});
//   train::Learner learn(data, model, {.metrics = {train::accuracy}});
//   learn.mixup().fit(8);
//
// The loop is short; all else, mixup and the printed table too, is a Callback.
#pragma once

#include <concepts>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/data_loader.h"
#include "nn/cross_entropy.h"
#include "nn/module.h"
#include "train/adam.h"
#include "train/batch_plan.h"
#include "train/callback.h"
#include "train/manifold_mixup.h"
#include "train/metrics.h"
#include "train/pair_mix_callback.h"
#include "train/results.h"
#include "train/step_runner.h"
#include "train/validation.h"

namespace mixgrad::train {

class Recorder;

struct LearnerOptions {
  nn::Loss loss = nn::cross_entropy;
  std::vector<Metric> metrics = {};             // of the validation data
  std::vector<TrainMetric> train_metrics = {};  // of the training batches, as they were trained on
  Rule optimizer = adamw();                     // how parameters are updated; a group may have a rule of its own
  // How the model's parameters are grouped for the optimizer; by default into one.
  std::function<ParameterGroups(nn::Module&)> groups = [](nn::Module& model) { return nn::parameters(model); };
  Device device = cpu;                     // where the model is moved to and trained, and a resident dataset
  MakeStepRunner runner = fastest_runner;  // how the steps are run; plain_runner: one by one
  std::uint64_t seed = default_seed();     // of what callbacks draw, such as mixup's plans
  bool verbose = true;                     // print the table, and a progress bar while training
};

class Learner : NonCopyable {
 public:
  // The learner trains the very model it is given: a module is a handle.
  template <std::derived_from<nn::Module> Model>
  Learner(data::DataLoaders data, Model model, LearnerOptions options = {})
      : Learner(std::move(data), std::make_shared<Model>(std::move(model)), std::move(options)) {}
  Learner(data::DataLoaders data, std::shared_ptr<nn::Module> model, LearnerOptions options = {});
  ~Learner();

  // Trains for some epochs, the last of which may be a part of one, at a constant learning rate, the optimizer's own
  // unless one is given; a further fit goes on from there. Leaves the model in evaluation mode. Throws unless epochs is
  // in 0..1e6, and lr is finite and not negative.
  void fit(double epochs, std::optional<double> lr = {});
  // The same with a learning rate that rises to lr_max and falls (train/schedule.h: one_cycle_lr), and momentum against
  // it.
  void fit_one_cycle(double epochs, double lr_max = 3e-3);
  // fit with this callback, and of the learner's own only with those that change what is trained, such as mixup,
  // transforms and clipping: those that describe themselves (train/resumable.h).
  void fit_with(std::shared_ptr<Callback> callback, double epochs);
  // Loss and metrics on the validation data: plain loss, unmixed data, evaluation mode, no gradients.
  Validation validate();
  // The model's output for inputs [N, ...], in evaluation mode, without gradients.
  Tensor predict(const Tensor& x);

  // Trains with mixup, CutMix or a relative from the next fit on; a second call of any of them replaces the first.
  // Neither these nor add() may be called while training.
  Learner& mixup(const MixUpOptions& options = {});
  Learner& cutmix(const CutMixOptions& options = {});
  Learner& mixup_or_cutmix(const MixUpOrCutMixOptions& options = {});  // drawn for each batch
  Learner& manifold_mixup(const ManifoldMixUpOptions& options = {});   // at a layer that is drawn for each batch
  Learner& reg_mixup(const RegMixUpOptions& options = {});             // beside the clean batch
  Learner& c_mixup(const CMixUpOptions& options = {});                 // of samples with near targets
  Learner& add(std::shared_ptr<Callback> callback);
  const std::vector<std::shared_ptr<Callback>>& callbacks() const { return callbacks_; }
  // The next fit begins there (train/checkpoint.h: resume). It must be asked for as many epochs, and for no other
  // learning rate.
  struct Start {
    double epochs = 0;
    int epoch = 0;
    double lr = 0;  // that it first began with
    std::uint32_t pass = 0;
    std::int64_t batch = 0;
    std::function<void(Learner&)> compare = {};  // called before all hooks; throws if fit is to do something else
    std::function<void(Learner&)> restore = {};  // called after on_train_begin and on_epoch_begin
  };
  void start_from(Start start) { start_ = std::move(start); }
  const std::optional<Start>& start() const { return start_; }  // none: the next fit begins at its own beginning
  // Ends training after the current batch.
  void stop() { stopping = true; }

  // ---- The state of training, for callbacks to read and change.
  const data::DataLoaders data;
  const LearnerOptions options;
  const std::shared_ptr<nn::Module> model;
  const std::unique_ptr<Optimizer> optimizer;
  const std::shared_ptr<Recorder> recorder;
  // What the training loss is computed by: options.loss, or whatever a callback puts in its place for a while.
  std::function<Tensor(const Tensor& output, const augment::Target& target)> loss_function;

  double epochs = 0;  // that this fit is asked for
  // The number of batches in this fit, rounded up; and in this epoch, fewer where it is cut short.
  std::int64_t total_batches() const;
  std::int64_t num_batches() const;
  double first_lr = 0;     // that this fit began with, resumed or not
  int epoch = 0;           // of this fit, from 0
  std::uint32_t pass = 0;  // over the training data, from 0, counted over all fits: names the random streams
  std::int64_t batch = 0;  // of this epoch, from 0
  bool stopping = false;
  bool skip_step = false;  // of this batch: set by a callback, the optimizer neither steps nor clears the gradients
  BatchPlan plan;          // of this batch
  augment::Input input;
  augment::Target target;
  Tensor output, loss;
  std::vector<BatchResult> results;      // what on_results tells of, oldest first
  std::optional<Validation> validation;  // of this epoch, once it is done

  const Tensor& x() const;  // the input as one tensor; throws if it is mixed, but not combined
  // A value of this batch's plan, on the device.
  const Tensor& planned(const std::string& name) const;
  const StepRunner& runner() const;  // of this fit; throws when there is none
  // Delivers pending results, if any, to on_results; waits for the device.
  void read_results();

  // ---- What a StepRunner does for each batch, in this order. samples: of a dataset that is not resident.
  BatchPlan make_plan(const data::DataLoader::Epoch& epoch, std::int64_t batch, const data::Batch* samples = nullptr);
  void begin_batch(BatchPlan plan, NamedValues numbers);
  void step(const data::Batch* samples = nullptr);
  void end_batch();

 private:
  Learner& mix_by(std::shared_ptr<Callback> mix);
  void begin_fit(double epochs, std::optional<double> lr);
  void end_fit();
  void step_optimizer();
  template <class Hooks>
  void each(void (Hooks::*hook)(Learner&));

  std::vector<std::shared_ptr<Callback>> callbacks_;
  std::shared_ptr<Callback> mix_;
  std::optional<Start> start_;
  bool fitting_ = false;
  Shape sample_;         // of a resident dataset's input
  NamedValues numbers_;  // of this batch's plan, on the device
  BatchResults results_;
  std::unique_ptr<StepRunner> runner_;
};

}  // namespace mixgrad::train
