#include "train/captured_runner.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <typeinfo>
#include <utility>
#include <vector>

#include "core/step_values.h"
#include "train/learner.h"

namespace mixgrad::train {
namespace {

constexpr std::size_t most_kinds = 16;  // each has a graph and its memory

std::string type_name(const Callback& callback) {
  int status = 0;
  char* const text = abi::__cxa_demangle(typeid(callback).name(), nullptr, nullptr, &status);
  std::string name = text ? text : typeid(callback).name();
  std::free(text);
  return name;
}

// The kind of step, as text: plans of one kind queue the same work.
std::string kind_of(const BatchPlan& plan) {
  std::string text = text_of(plan.indices.size(), " samples");
  for (const PlannedTransform& planned : plan.transforms) text += text_of(", transform ", planned.transform.identity());
  if (const auto& mix = plan.mix)
    text += text_of(", ", mix->mix->description(), mix->partners.empty() ? "" : ", partners of their own",
                    mix->stack_x ? ", both inputs" : "", mix->stack_y ? ", both targets" : "",
                    mix->keep_clean ? ", behind the clean batch" : "", mix->layer.empty() ? "" : ", in front of ",
                    mix->layer);
  for (const auto& [name, value] : plan.values)
    text += text_of(", ", name, " ", value.index(), " ", std::visit([](const auto& v) { return v.size(); }, value));
  return text;
}

std::vector<bool> frozen_parameters(nn::Module& model) {
  std::vector<bool> frozen;
  for (const Tensor& parameter : nn::parameters(model)) frozen.push_back(!parameter.requires_grad());
  return frozen;
}

}  // namespace

std::string obstacle_to_capture(const Learner& learner) {
  if (!learner.data.train.dataset().resident()) return "the samples are not in the memory of a device";
  for (const auto& callback : learner.callbacks()) {
    const auto* const in_step = dynamic_cast<const StepCallback*>(callback.get());
    if (in_step && in_step->step_work() == StepWork::varies) return type_name(*callback) + " takes part in the step";
  }
  return {};
}

void CapturedRunner::run(Learner& learner, const data::DataLoader::Epoch& epoch) {
  if (auto frozen = frozen_parameters(*learner.model); frozen != frozen_) {
    kinds_.clear();
    frozen_ = std::move(frozen);
  }
  const std::int64_t full =
      std::min(epoch.size(), learner.data.train.dataset().size() / learner.data.train.options().batch_size);
  // The first half as many, so that the host never plans when it has just waited for results and the device is idle.
  std::int64_t ahead = BatchResults::most / 2;
  while (learner.batch < full && !learner.stopping && obstacle_.empty()) {
    std::vector<BatchPlan> plans = plan_ahead(learner, epoch, std::min(full, learner.batch + ahead));
    if (std::ssize(plans) == ahead) ahead = BatchResults::most;
    for (BatchPlan& plan : plans) {
      const auto [kind, is_new] = kinds_.try_emplace(kind_of(plan));
      if (is_new) run_first(learner, std::move(plan), kind->second);
      else run_replayed(learner, std::move(plan), kind->second);
      if (learner.stopping) return;
      ++learner.batch;
    }
    if (kinds_.size() > most_kinds) obstacle_ = text_of("steps are of more than ", most_kinds, " kinds");
  }
  if (!learner.stopping) PlainRunner().run(learner, epoch);
}

// The plans of the batches before `end`, or up to the first of a kind of step that has not been run yet; those of known
// kinds are in their tables.
std::vector<BatchPlan> CapturedRunner::plan_ahead(Learner& learner, const data::DataLoader::Epoch& epoch,
                                                  std::int64_t end) {
  for (auto& [name, kind] : kinds_) kind.table.clear();
  std::vector<BatchPlan> plans;
  std::uint32_t streams = random_state().streams;
  for (std::int64_t batch = learner.batch; batch < end; ++batch) {
    const BatchPlan& plan = plans.emplace_back(learner.make_plan(epoch, batch));
    const auto found = kinds_.find(kind_of(plan));
    if (found == kinds_.end()) break;
    Kind& kind = found->second;
    NamedValues numbers = numbers_of(plan, learner.data.train.dataset());
    numbers["plan.rates"] = learner.optimizer->coefficients(learner.optimizer->steps + std::ssize(plans));
    numbers["plan.first stream"] = Tensor::full({1}, static_cast<std::int32_t>(streams), {.dtype = DType::i32});
    kind.table.begin_row();
    for (const auto& [name, value] : numbers) kind.numbers[name] = kind.table.put(value);
    streams += kind.streams;
  }
  for (auto& [name, kind] : kinds_) kind.table.upload();
  return plans;
}

// The first step of a kind is run plainly: then the memory that it needs is there, and how many random streams it takes
// is known.
void CapturedRunner::run_first(Learner& learner, BatchPlan plan, Kind& kind) {
  const std::uint32_t before = random_state().streams;
  PlainRunner::run_batch(learner, std::move(plan));
  kind.streams = random_state().streams - before;
  const auto is_planned = [](const PlannedTransform& planned) { return planned.transform.is_planned(); };
  if (!std::ranges::all_of(learner.plan.transforms, is_planned))
    obstacle_ = "a transform is a plain function of a batch";
}

void CapturedRunner::run_replayed(Learner& learner, BatchPlan plan, Kind& kind) {
  if (!obstacle_.empty()) return PlainRunner::run_batch(learner, std::move(plan));
  learner.begin_batch(plan, kind.numbers);
  if (!kind.graph) capture(learner, kind);
  if (!kind.graph) return PlainRunner::run_batch(learner, std::move(plan));
  kind.graph->replay();
  learner.input = kind.input;
  learner.target = kind.target;
  learner.output = kind.output;
  learner.loss = kind.loss;
  ++learner.optimizer->steps;
  random_state().streams += kind.streams;
  learner.end_batch();
}

void CapturedRunner::capture(Learner& learner, Kind& kind) {
  const RandomState random = random_state();
  const std::int64_t steps = learner.optimizer->steps;
  try {
    kind.graph.emplace([&] {
      kind.table.next();
      const StepStreamsFrom streams(kind.numbers.at("plan.first stream"));
      learner.step();
    });
    kind.input = learner.input;
    kind.target = learner.target;
    kind.output = learner.output;
    kind.loss = learner.loss;
  } catch (const Error& error) {
    obstacle_ = error.what();
  }
  random_state() = random;
  learner.optimizer->steps = steps;
}

}  // namespace mixgrad::train
