#include "train/captured_runner.h"

#include <cxxabi.h>

#include <cstdlib>
#include <typeinfo>
#include <utility>
#include <vector>

#include "core/random.h"
#include "nn/dropout.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

std::string type_name(const Callback& callback) {
  int status = 0;
  char* const text = abi::__cxa_demangle(typeid(callback).name(), nullptr, nullptr, &status);
  std::string name = text ? text : typeid(callback).name();
  std::free(text);
  return name;
}

// The number of a call of dropout, as a tensor.
Tensor dropout_number(std::uint32_t number) {
  return Tensor::full({1}, static_cast<std::int32_t>(number), {.dtype = DType::i32});
}

std::vector<bool> frozen_parameters(nn::Module& model) {
  std::vector<bool> frozen;
  for (const Tensor& parameter : nn::parameters(model)) frozen.push_back(!parameter.requires_grad());
  return frozen;
}

}  // namespace

std::string obstacle_to_capture(const Learner& learner) {
  if (learner.options.device == cpu) return {};
  if (!learner.options.capture) return "it is switched off";
  if (!learner.data.train.resident()) return "the samples are not in the memory of a device";
  for (const auto& callback : learner.callbacks()) {
    const auto* const in_step = dynamic_cast<const StepCallback*>(callback.get());
    if (in_step && in_step->step_work() == StepWork::varies) return type_name(*callback) + " takes part in the step";
  }
  return {};
}

// The very first batch is trained on plainly: then the memory that a step needs is there, and how often it calls
// dropout is known.
void CapturedRunner::run(Learner& learner, const data::DataLoader::Epoch& epoch) {
  if (auto frozen = frozen_parameters(*learner.model); frozen != frozen_) {
    graph_.reset();
    frozen_ = std::move(frozen);
  }
  const std::int64_t full = learner.data.train.dataset().size() / learner.data.train.options().batch_size;
  if (!graph_ && learner.why_not_captured.empty() && learner.batch < full) {
    const std::uint32_t before = random_state().dropouts;
    PlainRunner::run_batch(learner, learner.make_plan(epoch, learner.batch));
    if (learner.stopping) return;
    dropouts_ = random_state().dropouts - before;
    ++learner.batch;
  }
  // The first half as many, so that the host never plans when it has just waited for figures and the device is idle.
  for (std::int64_t rows = most_ahead / 2;
       learner.batch < full && learner.why_not_captured.empty() && !learner.stopping; rows = most_ahead)
    run_rows(learner, epoch, std::min(full, learner.batch + rows));
  if (!learner.stopping) PlainRunner().run(learner, epoch);
}

// The batches before `end`, with one table.
void CapturedRunner::run_rows(Learner& learner, const data::DataLoader::Epoch& epoch, std::int64_t end) {
  Optimizer& optimizer = *learner.optimizer;
  std::vector<BatchPlan> plans;
  table_.clear();
  for (std::int64_t batch = learner.batch; batch < end; ++batch) {
    const auto ahead = static_cast<std::uint32_t>(plans.size());
    BatchPlan& plan = plans.emplace_back(learner.make_plan(epoch, batch));
    plan.values["rates"] = optimizer.coefficients(optimizer.steps + 1 + ahead);
    plan.values["first_dropout"] = dropout_number(random_state().dropouts + ahead * dropouts_);
    table_.begin_row();
    for (const auto& [name, value] : plan.values) values_[name] = table_.put(value);
  }
  table_.upload();
  for (BatchPlan& plan : plans) {
    learner.begin_batch(std::move(plan), values_);
    if (!graph_ && !capture(learner)) return;
    graph_->replay();
    learner.output = output_;
    learner.loss = loss_;
    learner.set_batch(input_, target_);
    ++optimizer.steps;
    RandomState random = random_state();
    random.dropouts += dropouts_;
    set_random_state(random);
    learner.end_batch();
    if (learner.stopping) return;
    ++learner.batch;
  }
}

bool CapturedRunner::capture(Learner& learner) {
  const RandomState random = random_state();
  const std::int64_t steps = learner.optimizer->steps;
  try {
    graph_.emplace([&] {
      table_.next();
      const nn::DropoutFrom dropout(values_.at("first_dropout"));
      learner.step();
    });
    output_ = learner.output;
    loss_ = learner.loss;
    input_ = learner.input();
    target_ = learner.target();
  } catch (const Error& error) {
    learner.why_not_captured = error.what();
  }
  set_random_state(random);
  learner.optimizer->steps = steps;
  return learner.why_not_captured.empty();
}

}  // namespace mixgrad::train
