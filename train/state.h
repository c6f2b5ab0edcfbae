// What must be kept to go on with training later as if it had never stopped: named once, for saving and for loading.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace mixgrad::train {

// What a callback's state() reports to. Saving reads what it is given, loading writes it.
class StateVisitor {
 public:
  virtual ~StateVisitor() = default;
  virtual void number(const std::string& name, double& value) = 0;                 // integers below 2^53 stay exact
  virtual void numbers(const std::string& name, std::vector<double>& values) = 0;  // any count
  virtual void tensor(const std::string& name, const Tensor& tensor) = 0;          // of fixed shape and dtype
};

}  // namespace mixgrad::train
