// Optimizers. An optimizer lays the parameters it is given, and their gradients, into one block of memory each, so
// that zero_grad is one fill and a step is one pass over flat arrays, whatever the model. Parameters that are frozen,
// by requires_grad_(false), at any time, have their place there but stay as they are, with their part of the
// optimizer's state, and their gradients are zero; requires_grad_() unfreezes them.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "nn/module.h"

namespace mixgrad::train {

// Parameters that are trained alike.
struct ParameterGroup {
  std::vector<Tensor> parameters;
  double lr_scale = 1;                      // their learning rate is lr_scale times the optimizer's
  std::optional<double> weight_decay = {};  // instead of the optimizer's own
};

// Groups of parameters; a plain list of them is one group.
struct ParameterGroups : std::vector<ParameterGroup> {
  ParameterGroups(std::vector<Tensor> parameters) { push_back({.parameters = std::move(parameters)}); }
  ParameterGroups(std::vector<ParameterGroup> groups) : std::vector<ParameterGroup>(std::move(groups)) {}
};

class Optimizer : NonCopyable {
 public:
  virtual ~Optimizer() = default;

  // One update from the gradients accumulated since zero_grad. Throws when another optimizer has been made for the
  // same parameters since: they have moved to its memory.
  void step() { step(coefficients(steps + 1).to(gradients_.device())); }
  // The same in two parts, so that the first can be done ahead: what step number `step`, from 1, depends on besides
  // parameters and gradients, with lr and momentum as they are now, a row for each group on the CPU; and the update.
  Tensor coefficients(std::int64_t step) const;
  void step(const Tensor& coefficients);
  void zero_grad();

  double lr = 1e-3;     // the learning rate of the next step
  double momentum = 0;  // of the next step: SGD's momentum, Adam's beta1

  // All gradients, [total]: for what looks at them together, such as clipping by norm.
  const Tensor& gradients();
  // Its name, options, groups and frozen parameters as text: what must be the same where a checkpoint is resumed.
  std::string description() const;
  // What a checkpoint must keep beside the parameters: name and tensor of each piece of state, and the steps taken.
  virtual std::vector<NamedTensor> state() const = 0;
  std::int64_t steps = 0;

 protected:
  // Takes over tensors of one dtype and device; throws on none, on one that is computed, and where all are frozen.
  Optimizer(const ParameterGroups& groups, double lr, double momentum, double weight_decay);
  // The coefficients of the update of a group with this learning rate and weight decay in this step.
  virtual std::vector<double> coefficients(std::int64_t step, double lr, double weight_decay) const = 0;
  // Updates elements [first, first + values.numel()) of the flat arrays, of which `values` and `gradients` are those,
  // by their group's coefficients, on the same device in the same dtype.
  virtual void update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients,
                      std::int64_t first) = 0;
  virtual std::string name_and_options() const = 0;
  Tensor zeros_like_parameters() const;  // [total], for an optimizer's own state

 private:
  struct Parameter {
    Tensor tensor, gradient;   // the latter is its part of all gradients
    std::int64_t first, size;  // in the flat arrays, with the gap behind it
    bool frozen;               // when bind_gradients last looked
  };
  struct Group {
    std::size_t begin, end;  // of its parameters
    double lr_scale, weight_decay;
  };
  void check_some_train() const;
  void bind_gradients();
  std::vector<Parameter> parameters_;
  std::vector<Group> groups_;
  Tensor values_, gradients_;  // flat; each parameter starts at a multiple of 64 bytes, the gaps stay zero
};

// Makes an optimizer for a model's parameters: what a Learner is given, as in {.optimizer = sgd({.momentum = 0.9})}.
using OptimizerFactory = std::function<std::unique_ptr<Optimizer>(const ParameterGroups& groups)>;

// Two groups: what has fewer than two axes, biases and the weights of normalisation, is spared the weight decay.
ParameterGroups no_decay_of_vectors(nn::Module& model);

}  // namespace mixgrad::train
