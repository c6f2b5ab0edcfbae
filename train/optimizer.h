// Optimizers: parameters in groups, each updated by a rule, such as sgd() or adamw().
//
//   train::Optimizer optimizer(nn::parameters(model), train::sgd({.lr = 0.1, .momentum = 0.9}));
//
// An optimizer lays the parameters it is given, and their gradients, into one block of memory each, so that zero_grad
// is one fill and a step is one pass over flat arrays, whatever the model. Parameters that are frozen, by
// requires_grad_(false), at any time, have their place there but stay as they are, with their part of the optimizer's
// state, and their gradients are zero; requires_grad_() unfreezes them.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "nn/module.h"

namespace mixgrad::train {

// What schedules set for a group of parameters, for each step.
struct Rates {
  double lr = 0;        // the learning rate, before the group's lr_scale
  double momentum = 0;  // of SGD and Muon; Adam's beta1
  bool operator==(const Rates&) const = default;
};

// How parameters are updated: train/sgd.h, adam.h, muon.h. It has no state of its own: an optimizer keeps it.
class UpdateRule {
 public:
  UpdateRule(Rates rates, double weight_decay) : rates(rates), weight_decay(weight_decay) {}
  virtual ~UpdateRule() = default;
  // Its name and options as text.
  virtual std::string description() const = 0;
  // The names of what it keeps between steps; each is as large as the parameters, and 0 at first.
  virtual std::vector<std::string> state() const = 0;
  // Whether it updates each parameter by itself, as a matrix [first axis, all others]; otherwise element by element.
  virtual bool by_matrix() const { return false; }
  // What an update in step number `step`, from 1, depends on besides parameters, gradients and state.
  virtual std::vector<double> coefficients(std::int64_t step, const Rates& rates, double weight_decay) const = 0;
  // Updates values and state, which it names in this order, by the gradients. All have one shape, and all, with the
  // coefficients, one dtype and device.
  virtual void update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients,
                      std::span<const Tensor> state) const = 0;

  const Rates rates;  // before a schedule sets others
  const double weight_decay;
};
using Rule = std::shared_ptr<const UpdateRule>;

// Parameters that are trained alike.
struct ParameterGroup {
  std::vector<Tensor> parameters;
  double lr_scale = 1;                      // their learning rate is lr_scale times that of their rates
  std::optional<double> weight_decay = {};  // instead of the rule's
  Rule rule = {};                           // instead of the optimizer's
};

// Groups of parameters; a plain list of them is one group.
struct ParameterGroups : std::vector<ParameterGroup> {
  ParameterGroups(std::vector<Tensor> parameters) { push_back({.parameters = std::move(parameters)}); }
  ParameterGroups(std::vector<ParameterGroup> groups) : std::vector<ParameterGroup>(std::move(groups)) {}
};

class Optimizer : NonCopyable {
 public:
  // Takes over tensors of one dtype and device; throws on none, on one that is computed, where all are frozen, and
  // where a rule for matrices is given a vector. rule: of all groups that have none of their own.
  Optimizer(const ParameterGroups& groups, const Rule& rule);

  // One update from the gradients accumulated since zero_grad. Throws when another optimizer has been made for the
  // same parameters since: they have moved to its memory.
  void step() { step(coefficients(steps + 1).to(gradients_.device())); }
  // The same in two parts, so that the first can be done ahead: what step number `step`, from 1, depends on besides
  // parameters and gradients, with the rates as they are now, a row for each group on the CPU; and the update.
  Tensor coefficients(std::int64_t step) const;
  void step(const Tensor& coefficients);
  void zero_grad();

  std::vector<Rates> rates;  // of the next step, for each group

  // All gradients, [total]: for what looks at them together, such as clipping by norm.
  const Tensor& gradients();
  // The rules, their options, groups and frozen parameters as text: what must be the same where a checkpoint is
  // resumed.
  std::string description() const;
  // What a checkpoint must keep beside the parameters: name and tensor of each piece of state, and the steps taken.
  std::vector<NamedTensor> state() const;
  std::int64_t steps = 0;

 private:
  struct Parameter {
    Tensor tensor, gradient;   // the latter is its part of all gradients
    std::int64_t first, size;  // in the flat arrays, with the gap behind it
    bool frozen;               // when bind_gradients last looked
  };
  struct Group {
    std::size_t begin, end;  // of its parameters
    double lr_scale, weight_decay;
    Rule rule;
    std::vector<Tensor> state;  // flat, of all parameters: shared by rules that name it alike
  };
  void check_some_train() const;
  void bind_gradients();
  std::vector<Parameter> parameters_;
  std::vector<Group> groups_;
  std::vector<NamedTensor> state_;
  Tensor values_, gradients_;  // flat; each parameter starts at a multiple of 64 bytes, the gaps stay zero
};

// Sets the learning rate of all groups, before their lr_scale.
void set_lr(std::vector<Rates>& rates, double lr);

// Two groups: what has fewer than two axes, biases and the weights of normalisation, is spared the weight decay.
ParameterGroups no_decay_of_vectors(nn::Module& model);

}  // namespace mixgrad::train
