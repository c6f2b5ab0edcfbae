// The loop and the step; what is around them is in learner_interface.cpp.
#include <array>
#include <tuple>

#include "train/learner.h"
#include "train/step_runner.h"

namespace mixgrad::train {
namespace {

Tensor call(nn::Module& model, const augment::Input& input, const BatchPlan& plan, const NamedValues& numbers) {
  if (const auto* both = std::get_if<augment::MixedInput>(&input))
    return model(std::array<Tensor, 3>{both->x, both->partner, both->lambda});
  const HiddenMix hidden(model, plan, numbers);
  const Tensor output = model(std::get<Tensor>(input));
  hidden.check_mixed();
  return output;
}

}  // namespace

template <class Hooks>
void Learner::each(void (Hooks::*hook)(Learner&)) {
  for (const auto& callback : callbacks_)
    if (auto* const hooks = dynamic_cast<Hooks*>(callback.get())) (hooks->*hook)(*this);
}

void Learner::fit(double epochs, std::optional<double> lr) {
  begin_fit(epochs, lr);
  const struct Ending {
    Learner& learner;
    ~Ending() { learner.end_fit(); }
  } ending{*this};
  each(&Callback::on_train_begin);
  Start start = std::exchange(start_, {}).value_or(Start{.epochs = epochs, .pass = pass});
  const auto restore = [&] {
    if (start.restore) std::exchange(start.restore, nullptr)(*this);
  };
  pass = start.pass;
  for (epoch = start.epoch; num_batches() > 0 && !stopping; ++epoch, ++pass) {
    each(&Callback::on_epoch_begin);
    restore();
    model->train();
    batch = std::exchange(start.batch, 0);
    runner_->run(*this, data.train.epoch(pass, batch, num_batches()));
    read_results();
    validation.reset();
    if (!stopping) {
      each(&Callback::on_validate_begin);
      validation = validate();
    }
    each(&Callback::on_epoch_end);
  }
  restore();
}

void Learner::step(const data::Batch* samples) {
  skip_step = false;
  std::tie(input, target) = prepare(data.train.dataset(), plan, numbers_, options.device, samples);
  each(&StepCallback::on_batch_begin);
  output = call(*model, input, plan, numbers_);
  each(&StepCallback::on_loss_begin);
  loss = loss_function(output, target);
  if (batch == 0) nn::check_visited(loss, *model);
  each(&StepCallback::on_backward_begin);
  loss.backward();
  each(&StepCallback::on_backward_end);
  if (!skip_step) step_optimizer();
  each(&StepCallback::on_step_end);
  std::vector<Tensor> row{loss};
  for (const TrainMetric& metric : options.train_metrics) row.push_back(metric.mean(output, target));
  results_.append(row);
}

BatchPlan Learner::make_plan(const data::DataLoader::Epoch& epoch, std::int64_t batch, const data::Batch* samples) {
  const auto indices = epoch.indices(batch);
  BatchPlan plan{.pass = pass,
                 .batch = batch,
                 .indices = {indices.begin(), indices.end()},
                 .shape = samples ? samples->x.shape() : sample_.with(0, std::ssize(indices)),
                 .rates = optimizer->rates};
  for (const auto& callback : callbacks_) callback->on_batch_plan(*this, plan);
  optimizer->rates = plan.rates;
  return plan;
}

void Learner::begin_batch(BatchPlan plan, NamedValues numbers) {
  batch = plan.batch;
  optimizer->rates = plan.rates;
  this->plan = std::move(plan);
  numbers_ = std::move(numbers);
}

void Learner::end_batch() {
  results_.add_batch(batch, std::ssize(plan.indices));
  const bool all_read = options.device == cpu || stopping || batch + 1 == num_batches();
  if (all_read || results_.waiting() == BatchResults::most) read_results();
  each(&Callback::on_batch_end);
  each(&Callback::on_save_point);
}

void Learner::read_results() {
  if (results_.waiting() == 0) return;
  results = results_.read();
  each(&Callback::on_results);
}

}  // namespace mixgrad::train
