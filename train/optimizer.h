// Optimizers. An optimizer lays the parameters it is given, and their gradients, into one block of memory each, so
// that zero_grad is one fill and a step is one pass over flat arrays, whatever the model.
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
  const Tensor& gradients() const { return gradients_; }
  // Its name, options and groups as text: what must be the same where a checkpoint is resumed.
  std::string description() const;
  // What a checkpoint must keep beside the parameters: name and tensor of each piece of state, and the steps taken.
  virtual std::vector<NamedTensor> state() const = 0;
  std::int64_t steps = 0;

 protected:
  // Takes over leaf tensors of one dtype and device; throws on none, or on tensors that require no gradient.
  Optimizer(const ParameterGroups& groups, double lr, double momentum, double weight_decay);
  // The numbers by which a group with this learning rate and weight decay is updated in this step.
  virtual std::vector<double> coefficients(std::int64_t step, double lr, double weight_decay) const = 0;
  // Updates elements [first, first + values.numel()) of the flat arrays, of which `values` and `gradients` are those,
  // by their group's coefficients, on the same device in the same dtype.
  virtual void update(const Tensor& coefficients, const Tensor& values, const Tensor& gradients,
                      std::int64_t first) = 0;
  virtual std::string name_and_options() const = 0;
  Tensor zeros_like_parameters() const;  // [total], for an optimizer's own state

 private:
  struct Range {
    std::int64_t first, size;
    double lr_scale, weight_decay;
  };
  std::vector<Tensor> parameters_;
  std::vector<Range> ranges_;  // of the groups
  Tensor values_, gradients_;  // flat; each parameter starts at a multiple of 64 bytes, the gaps stay zero
};

// Makes an optimizer for a model's parameters: what a Learner is given, as in {.optimizer = sgd({.momentum = 0.9})}.
using OptimizerFactory = std::function<std::unique_ptr<Optimizer>(const ParameterGroups& groups)>;

// Two groups: what has fewer than two axes, biases and the weights of normalisation, is spared the weight decay.
ParameterGroups no_decay_of_vectors(nn::Module& model);

}  // namespace mixgrad::train
