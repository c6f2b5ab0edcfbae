// Module: a layer or a model. It computes forward() and lists, in one visit(), the tensors and modules it consists
// of; that list serves optimizers, device moves, train/eval mode, checkpoints and printing. README.md has an example.
//
// A module is a handle, as a tensor is: a copy shares parameters, buffers and mode with the original.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::nn {

class Module;

// What visit() reports to. Names follow PyTorch's: "weight", "running_mean", and "0.weight" for a child's.
class Visitor {
 public:
  virtual ~Visitor() = default;
  virtual void parameter(const std::string&, const Tensor&) {}  // trained
  virtual void buffer(const std::string&, const Tensor&) {}     // kept and saved, not trained
  virtual void child(const std::string&, Module&) {}
};

class Module {
 public:
  virtual ~Module() = default;

  // The output for one input: what a layer overrides.
  virtual Tensor forward(const Tensor& input);
  // The output for several inputs, such as stacked mixup's x, its partner and lambda. Throws unless overridden.
  virtual Tensor forward_many(std::span<const Tensor> inputs);
  // Names the module's parameters, buffers and children. A module without any need not override it.
  virtual void visit(Visitor&) {}
  // "Conv2d(3, 16, kernel_size=3)": for printing and error messages.
  virtual std::string name() const = 0;
  // Multiply-adds of one forward pass from an input to an output of these shapes, without those of its children.
  virtual std::int64_t multiply_adds(const Shape&, const Shape&) const { return 0; }

  Tensor operator()(const Tensor& input);
  Tensor operator()(std::span<const Tensor> inputs);  // of one input: its forward

  // Layers such as batch norm and dropout behave differently in training and in evaluation; a new module is in training
  // mode.
  bool training() const { return state_->training; }
  void train(bool on = true);  // this module and all below it
  void eval() { train(false); }

  // Moves all parameters and buffers there, every handle of them; gradients are dropped. Throws when there is no such
  // device. An optimizer is made afterwards: it lays the parameters into memory of its own.
  void to(Device device);

  bool has_input_hook() const { return state_->input_hook != nullptr; }

 private:
  friend class EvalMode;
  friend class InputHook;
  struct State {  // of all handles
    bool training = true;
    std::function<Tensor(const Tensor& input)> input_hook;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// Puts a module and all below it in evaluation mode while it lives, then back each as it was.
class EvalMode : NonCopyable {
 public:
  explicit EvalMode(Module& module);
  ~EvalMode();

 private:
  std::vector<std::pair<std::shared_ptr<Module::State>, bool>> modes_;
};

// While it lives, the module's forward of one input is given hook(input) instead: what is done to a hidden layer, such
// as mixing. Throws where the module, or another handle of it, has one already.
class InputHook : NonCopyable {
 public:
  InputHook(Module& module, std::function<Tensor(const Tensor& input)> hook);
  ~InputHook();

 private:
  std::shared_ptr<Module::State> state_;
};

// A leaf tensor to be trained.
inline Tensor parameter(Tensor value) { return value.requires_grad_(); }

using mixgrad::NamedTensor;

// All parameters (or buffers) of a module and those below it, in order of visit(); a tensor that is shared between
// modules appears once. Names are joined by dots.
std::vector<NamedTensor> named_parameters(Module& module);
std::vector<NamedTensor> named_buffers(Module& module);
std::vector<Tensor> parameters(Module& module);
// All modules below it, "0", "1", "1.body", ..., each before those below it. They live as long as it does.
std::vector<std::pair<std::string, Module*>> named_modules(Module& module);
std::int64_t num_parameters(Module& module);

// Throws when a loss depends on a tensor that requires a gradient and is not among the parameters of the model: it
// would silently stay as it is.
void check_visited(const Tensor& loss, Module& model);

// forward(), which stands for module.forward(input), or where there is a `relu` for both in one pass; an observer sees
// the module, and that ReLU.
Tensor call_as(Module& module, Module* relu, const Tensor& input, const std::function<Tensor()>& forward);

// While it lives, calls `observer` after every forward() on this thread, innermost modules first.
class ForwardObserver {
 public:
  using Function = std::function<void(Module& module, const Shape& input, const Shape& output)>;
  explicit ForwardObserver(Function observer);
  // How many forwards the one that is observed runs inside of: 0 for the outermost module's own.
  static int depth();

 private:
  Temporarily<Function> observer_;
  Temporarily<int> depth_;
};

}  // namespace mixgrad::nn
