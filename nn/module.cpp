#include "nn/module.h"

#include <algorithm>

#include "core/autograd.h"
#include "core/check.h"

namespace mixgrad::nn {
namespace {

thread_local ForwardObserver::Function observer;
thread_local int running = 0;  // forwards, each inside of the one before

// Walks a module and everything below it, keeping the dotted path.
class Walk : public Visitor {
 public:
  explicit Walk(Module& module) { module.visit(*this); }
  void child(const std::string& name, Module& module) override {
    const std::string outer = path_;
    modules.emplace_back(path_ + name, &module);
    path_ += name + ".";
    module.visit(*this);
    path_ = outer;
  }
  void parameter(const std::string& name, const Tensor& tensor) override { add(parameters, name, tensor); }
  void buffer(const std::string& name, const Tensor& tensor) override { add(buffers, name, tensor); }

  std::vector<NamedTensor> parameters, buffers;
  std::vector<std::pair<std::string, Module*>> modules;

 private:
  void add(std::vector<NamedTensor>& list, const std::string& name, const Tensor& tensor) {
    if (!tensor.defined()) return;  // such as the bias of a layer without one
    const auto same = [&](const NamedTensor& other) { return other.tensor.is(tensor); };
    if (std::none_of(list.begin(), list.end(), same)) list.push_back({path_ + name, tensor});
  }
  std::string path_;
};

template <class F>
void for_each_module(Module& root, F f) {
  f(root);
  for (const auto& [name, module] : Walk(root).modules) f(*module);
}

// forward() as that of the module, for an input of this shape.
template <class F>
Tensor run(Module& module, const Shape& input, F forward) {
  const Temporarily inside(running, running + 1);
  Tensor output = forward();
  if (observer) observer(module, input, output.shape());
  return output;
}

}  // namespace

Tensor Module::forward(const Tensor&) { fail(name(), ": defines no forward for a single input"); }

Tensor Module::forward_many(std::span<const Tensor> inputs) {
  fail(name(), ": takes one input, got ", inputs.size(), "; a model for several overrides forward_many");
}

Tensor Module::operator()(const Tensor& input) {
  return run(*this, input.shape(), [&] { return forward(state_->input_hook ? state_->input_hook(input) : input); });
}

Tensor Module::operator()(std::span<const Tensor> inputs) {
  check(!inputs.empty(), name(), ": needs an input");
  if (inputs.size() == 1) return (*this)(inputs.front());
  return run(*this, inputs.front().shape(), [&] { return forward_many(inputs); });
}

void Module::to(Device device) {
  const Walk all(*this);
  for (const auto* list : {&all.parameters, &all.buffers})
    for (const auto& [name, tensor] : *list) {
      tensor.rebind_(tensor.detach().to(device));
      if (tensor.requires_grad()) tensor.node()->grad = {};
    }
}

void Module::train(bool on) {
  for_each_module(*this, [on](Module& module) { module.state_->training = on; });
}

InputHook::InputHook(Module& module, std::function<Tensor(const Tensor&)> hook) : state_(module.state_) {
  check(hook != nullptr, module.name(), ": an input hook that is no function");
  check(!module.has_input_hook(), module.name(), ": has an input hook already");
  state_->input_hook = std::move(hook);
}

InputHook::~InputHook() { state_->input_hook = nullptr; }

EvalMode::EvalMode(Module& root) {
  for_each_module(root, [this](Module& module) { modes_.emplace_back(module.state_, module.training()); });
  root.eval();
}

EvalMode::~EvalMode() {
  for (const auto& [state, before] : modes_) state->training = before;
}

std::vector<NamedTensor> named_parameters(Module& module) { return Walk(module).parameters; }
std::vector<NamedTensor> named_buffers(Module& module) { return Walk(module).buffers; }
std::vector<std::pair<std::string, Module*>> named_modules(Module& module) { return Walk(module).modules; }

std::vector<Tensor> parameters(Module& module) {
  std::vector<Tensor> result;
  for (auto& [name, tensor] : named_parameters(module)) result.push_back(tensor);
  return result;
}

std::int64_t num_parameters(Module& module) {
  std::int64_t count = 0;
  for (const Tensor& tensor : parameters(module)) count += tensor.numel();
  return count;
}

void check_visited(const Tensor& loss, Module& model) {
  if (!loss.requires_grad()) return;
  const std::vector<Tensor> all = parameters(model);
  for (const auto& leaf : leaves(loss))
    check(std::any_of(all.begin(), all.end(), [&](const Tensor& parameter) { return parameter.node() == leaf; }),
          "fit: a tensor of shape ", leaf->shape,
          " requires a gradient but is not a parameter of the model: does each module's visit() name all of its "
          "parameters and children?");
}

Tensor call_as(Module& module, Module* relu, const Tensor& input, const std::function<Tensor()>& forward) {
  const Tensor output = run(module, input.shape(), forward);
  return relu ? run(*relu, output.shape(), [&] { return output; }) : output;
}

ForwardObserver::ForwardObserver(Function function) : observer_(observer, std::move(function)), depth_(running, 0) {}

int ForwardObserver::depth() { return running - 1; }

}  // namespace mixgrad::nn
