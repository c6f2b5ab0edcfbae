#include "train/learner.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/autograd.h"
#include "train/captured_runner.h"
#include "train/progress_bar.h"
#include "train/recorder.h"
#include "train/schedule.h"

namespace mixgrad::train {
namespace {

using augment::MixedInput;

Tensor call(nn::Module& model, const augment::Input& input) {
  if (const Tensor* x = std::get_if<Tensor>(&input)) return model(*x);
  const auto& [x, partner, lambda] = std::get<MixedInput>(input);
  const std::array<Tensor, 3> inputs{x, partner, lambda};
  return model(inputs);
}

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

// A tensor that is trained must be among the parameters that visit() names, or it would silently stay as it is.
void check_all_visited(const Tensor& loss, nn::Module& model) {
  if (!loss.requires_grad()) return;
  const std::vector<Tensor> parameters = nn::parameters(model);
  for (const auto& leaf : leaves(loss))
    check(std::any_of(parameters.begin(), parameters.end(), [&](const Tensor& p) { return p.node() == leaf; }),
          "fit: a tensor of shape ", leaf->shape,
          " requires a gradient but is not a parameter of the model: does each "
          "module's visit() name all of its parameters and children?");
}

}  // namespace

Learner::Learner(data::DataLoaders data, std::shared_ptr<nn::Module> model, LearnerOptions options)
    : data(data.to(options.device)),
      options(std::move(options)),
      model(moved(std::move(model), this->options.device)),
      optimizer(this->options.optimizer(this->options.groups(*this->model))),
      recorder(std::make_shared<Recorder>(this->options.verbose)),
      loss_function(plain_loss(this->options.loss)),
      series_(this->options.device, 1 + std::ssize(this->options.train_metrics), StepRunner::most_ahead) {
  if (this->options.verbose) add(std::make_shared<ProgressBar>());
  add(recorder);
}

void Learner::fit(int epochs, std::optional<double> lr) {
  check(!fitting_, "fit: called while training");
  check(epochs >= 0, "fit: ", epochs, " epochs");
  const double rate = lr.value_or(optimizer->lr);
  check(std::isfinite(rate) && rate >= 0, "fit: ", rate, " is not a learning rate");
  struct Ending {  // however training ends; what was put on last comes off first
    Learner& learner;
    ~Ending() {
      for (auto callback = learner.callbacks_.rbegin(); callback != learner.callbacks_.rend(); ++callback)
        (*callback)->on_train_end(learner);
      learner.model->eval();
      learner.runner_.reset();
      learner.fitting_ = false;
    }
  } ending{*this};
  fitting_ = true;
  this->epochs = epochs;
  if (start_) {
    check(start_->epochs == epochs, "fit: ", epochs, " epochs, the training that is resumed has ", start_->epochs);
    check(lr.value_or(start_->lr) == start_->lr, "fit: learning rate ", rate,
          ", the training that is resumed began with ", start_->lr);
    if (start_->compare) start_->compare(*this);
    first_lr = start_->lr;
  } else {
    optimizer->lr = first_lr = rate;
    optimizer->zero_grad();  // an exception may have left gradients behind
  }
  stopping = false;
  unread_.clear();
  series_.take();
  why_not_captured = obstacle_to_capture(*this);
  runner_ = make_step_runner(*this);
  each(&Callback::on_train_begin);
  Start start = std::exchange(start_, {}).value_or(Start{.epochs = epochs, .pass = pass});
  const auto restore = [&] {
    if (start.restore) std::exchange(start.restore, nullptr)(*this);
  };
  pass = start.pass;
  for (epoch = start.epoch; epoch < epochs && !stopping; ++epoch, ++pass) {
    each(&Callback::on_epoch_begin);
    restore();
    train_epoch(std::exchange(start.batch, 0));
    validation.reset();
    if (!stopping) {
      each(&Callback::on_validate_begin);
      validation = validate();
    }
    each(&Callback::on_epoch_end);
  }
  restore();
}

void Learner::fit_one_cycle(int epochs, double lr_max) {
  check(std::isfinite(lr_max) && lr_max >= 0, "fit_one_cycle: ", lr_max, " is not a learning rate");
  check(!fitting_, "fit: called while training");
  auto callbacks = callbacks_;
  callbacks.push_back(std::make_shared<LrSchedule>(one_cycle_lr(lr_max), one_cycle_momentum()));
  const Temporarily scheduled(callbacks_, std::move(callbacks));
  const Temporarily lr(optimizer->lr, optimizer->lr), momentum(optimizer->momentum, optimizer->momentum);
  fit(epochs);
}

void Learner::fit_with(std::shared_ptr<Callback> callback, int epochs) {
  check(!fitting_, "fit: called while training");
  check(!start_, "fit_with: a training was resumed; fit it before all else");
  auto callbacks = callbacks_;
  std::erase_if(callbacks, [](const auto& own) { return own->description().empty(); });
  callbacks.push_back(std::move(callback));
  const Temporarily others(callbacks_, std::move(callbacks));
  fit(epochs);
}

void Learner::train_epoch(std::int64_t first_batch) {
  model->train();
  batch = first_batch;
  runner_->run(*this, data.train.epoch(pass, first_batch));
  read_figures();
}

BatchPlan Learner::make_plan(const data::DataLoader::Epoch& epoch, std::int64_t batch) {
  const auto indices = epoch.numbers(batch);
  BatchPlan plan{.pass = pass,
                 .batch = batch,
                 .indices = {indices.begin(), indices.end()},
                 .lr = optimizer->lr,
                 .momentum = optimizer->momentum,
                 .values = {}};
  if (data.train.resident()) plan.values["indices"] = Tensor::from(indices, {std::ssize(indices)});
  for (const auto& callback : callbacks_) callback->on_batch_plan(*this, plan);
  optimizer->lr = plan.lr;
  optimizer->momentum = plan.momentum;
  return plan;
}

void Learner::begin_batch(BatchPlan plan, NamedValues on_device) {
  batch = plan.batch;
  optimizer->lr = plan.lr;
  optimizer->momentum = plan.momentum;
  this->plan = std::move(plan);
  planned_ = std::move(on_device);
  if (const data::ImageDataset* dataset = data.train.resident()) pending_ = {dataset, planned("indices")};
}

const Tensor& Learner::planned(const std::string& name) const {
  const auto found = planned_.find(name);
  check(found != planned_.end(), "learner: the plan of this batch has no ", name);
  return found->second;
}

void Learner::step() {
  skip_step = false;
  each(&StepCallback::on_batch_begin);
  output = call(*model, input());
  each(&StepCallback::on_loss_begin);
  loss = loss_function(output, target());
  if (batch == 0) check_all_visited(loss, *model);
  each(&StepCallback::on_backward_begin);
  loss.backward();
  each(&StepCallback::on_backward_end);
  if (!skip_step) {
    if (planned_.contains("rates")) optimizer->step(planned("rates"));
    else optimizer->step();
    optimizer->zero_grad();
  }
  each(&StepCallback::on_step_end);
  std::vector<Tensor> row{loss};
  for (const TrainMetric& metric : options.train_metrics) row.push_back(metric.mean(output, target()));
  series_.append(row);
}

void Learner::end_batch() {
  unread_.push_back({.batch = batch, .size = static_cast<double>(plan.indices.size())});
  const bool all_read = options.device == cpu || stopping || batch + 1 == data.train.num_batches();
  if (all_read || std::ssize(unread_) == StepRunner::most_ahead) read_figures();
  each(&Callback::on_batch_end);
  each(&Callback::on_save_point);
}

void Learner::read_figures() {
  if (unread_.empty()) return;
  const std::vector<double> rows = series_.take();
  figures = std::exchange(unread_, {});
  auto at = rows.begin();
  for (BatchFigures& row : figures) {
    row.loss = *at++;
    row.train_metrics.assign(at, at + std::ssize(options.train_metrics));
    at += std::ssize(options.train_metrics);
  }
  each(&Callback::on_figures);
}

void Learner::set_batch(augment::Input input, augment::Target target) {
  input_ = std::move(input);
  target_ = std::move(target);
  pending_.reset();
}

augment::Input& Learner::input() {
  if (pending_) {
    data::Batch samples = pending_->dataset->gather(pending_->numbers);
    set_batch(std::move(samples.x), std::move(samples.y));
  }
  return input_;
}

augment::Target& Learner::target() {
  input();
  return target_;
}

const Tensor& Learner::x() {
  const Tensor* plain = std::get_if<Tensor>(&input());
  check(plain != nullptr, "learner: the input is two batches and lambda, not one tensor");
  return *plain;
}

Validation Learner::validate() {
  const NoGrad off;
  const nn::EvalMode eval(*model);
  const nn::Loss mean{options.loss.name, options.loss.per_sample};
  const std::size_t columns = 1 + options.metrics.size();
  Series series(options.device, std::ssize(options.metrics) + 1, data.valid.num_batches());
  std::vector<double> sizes;
  for (const data::Batch& samples : data.valid.epoch(0)) {
    const Tensor prediction = (*model)(samples.x.to(options.device)), target = samples.y.to(options.device);
    std::vector<Tensor> row{mean(prediction, target)};
    for (const Metric& metric : options.metrics) row.push_back(metric.mean(prediction, target));
    series.append(row);
    sizes.push_back(static_cast<double>(samples.size()));
  }
  const std::vector<double> rows = series.take();
  std::vector<double> means(columns, 0.0);
  double total = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    for (std::size_t column = 0; column < columns; ++column) means[column] += rows[i * columns + column] * sizes[i];
    total += sizes[i];
  }
  for (double& value : means) value /= total;
  return {means[0], {means.begin() + 1, means.end()}};
}

Tensor Learner::predict(const Tensor& x) {
  const NoGrad off;
  const nn::EvalMode eval(*model);
  return (*model)(x.to(options.device));
}

Learner& Learner::mixup(const MixUpOptions& options) {
  check(!fitting_, "learner: mixup() called while training");
  std::erase(callbacks_, mixup_);
  mixup_ = std::make_shared<MixUpCallback>(options);
  return add(mixup_);
}

Learner& Learner::add(std::shared_ptr<Callback> callback) {
  check(!fitting_, "learner: add() called while training");
  callbacks_.push_back(std::move(callback));
  return *this;
}

template <class Hooks>
void Learner::each(void (Hooks::*hook)(Learner&)) {
  for (const auto& callback : callbacks_)
    if (auto* const hooks = dynamic_cast<Hooks*>(callback.get())) (hooks->*hook)(*this);
}

Learner::~Learner() = default;

}  // namespace mixgrad::train
