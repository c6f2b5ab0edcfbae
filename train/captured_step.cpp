#include "train/captured_step.h"

#include <cxxabi.h>

#include <cstdlib>
#include <typeinfo>
#include <utility>
#include <vector>

#include "core/random.h"
#include "nn/dropout.h"

namespace mixgrad::train {
namespace {

std::string type_name(const Callback& callback) {
  int status = 0;
  char* const text = abi::__cxa_demangle(typeid(callback).name(), nullptr, nullptr, &status);
  std::string name = text ? text : typeid(callback).name();
  std::free(text);
  return name;
}

// A number of a call of dropout, as a tensor.
Tensor dropout_number(std::uint32_t number) {
  return Tensor::full({1}, static_cast<std::int32_t>(number), {.dtype = DType::i32});
}

}  // namespace

std::string Learner::obstacle_to_capture() const {
  if (options.device == cpu) return {};
  if (!options.capture) return "it is switched off";
  if (!data.train.resident()) return "the samples are not in the memory of a device";
  for (const auto& callback : callbacks_)
    if (!callback->capturable()) return type_name(*callback) + " takes part in the step";
  return {};
}

Tensor Learner::put(const Tensor& value) {
  return captured_ && captured_->planning ? captured_->table.put(value) : value.to(options.device);
}

Tensor Learner::step_coefficients() const {
  if (captured_ && captured_->capturing) return captured_->coefficients;
  return optimizer->coefficients(optimizer->steps + 1).to(options.device);
}

// Trains on the full batches that are left of the epoch. The very first one is trained on plainly: then the memory that
// a step needs is there, and how often it calls dropout is known. Where the step cannot be captured, leaves the rest.
void Learner::train_captured(const data::DataLoader::Epoch& epoch) {
  Captured& captured = *captured_;
  const std::int64_t full = data.train.dataset().size() / data.train.options().batch_size;
  if (!captured.graph && batch < full) {
    const std::uint32_t before = random_state().dropouts;
    plan_batch(epoch);
    train_batch();
    end_batch();
    if (stopping) return;
    captured.dropouts = random_state().dropouts - before;
    ++batch;
  }
  // The first half as many, so that the host never plans when it has just waited for figures and the device is idle.
  for (std::int64_t rows = most_ahead / 2; batch < full && captured_ && !stopping; rows = most_ahead)
    train_captured_rows(epoch, std::min(full, batch + rows));
}

// The same for the batches before `end`, with one table.
void Learner::train_captured_rows(const data::DataLoader::Epoch& epoch, std::int64_t end) {
  Captured& captured = *captured_;
  const std::int64_t first = batch;
  struct Rates {
    double lr, momentum;
  };
  std::vector<Rates> rates;
  {
    const Temporarily planning(captured.planning, true);
    captured.table.clear();
    for (; batch < end; ++batch) {
      const auto ahead = static_cast<std::uint32_t>(batch - first);
      captured.table.begin_row();
      plan_batch(epoch);
      captured.coefficients = put(optimizer->coefficients(optimizer->steps + 1 + ahead));
      captured.first_dropout = put(dropout_number(random_state().dropouts + ahead * captured.dropouts));
      rates.push_back({optimizer->lr, optimizer->momentum});
    }
    captured.table.upload();
  }
  for (batch = first; batch < end; ++batch) {
    numbers = epoch.numbers(batch);
    const Rates& rate = rates[static_cast<std::size_t>(batch - first)];
    optimizer->lr = rate.lr;
    optimizer->momentum = rate.momentum;
    if (!captured.graph && !capture_step()) return;
    captured.graph->replay();
    ++optimizer->steps;
    RandomState random = random_state();
    random.dropouts += captured.dropouts;
    set_random_state(random);
    end_batch();
    if (stopping) return;
  }
}

bool Learner::capture_step() {
  Captured& captured = *captured_;
  const RandomState random = random_state();
  const std::int64_t steps = optimizer->steps;
  try {
    const Temporarily capturing(captured.capturing, true);
    captured.graph.emplace([&] {
      captured.table.next();
      const nn::DropoutFrom dropout(captured.first_dropout);
      train_batch();
    });
  } catch (const Error& error) {
    why_not_captured_ = error.what();
    captured_.reset();
  }
  set_random_state(random);
  optimizer->steps = steps;
  return captured_ != nullptr;
}

Learner::~Learner() = default;

}  // namespace mixgrad::train
