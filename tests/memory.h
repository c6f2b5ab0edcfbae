// Memory: keeps a callback's state, as a checkpoint does in a file.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "train/resumable.h"

namespace mixgrad::test {

struct Memory : train::StateVisitor {
  bool loading = false;
  std::map<std::string, std::vector<double>> saved;
  std::map<std::string, Tensor> tensors;
  void number(const std::string& name, double& value, const train::Range& range) override {
    CHECK(range.contains(value));
    if (loading) value = saved.at(name).at(0);
    else saved[name] = {value};
  }
  void numbers(const std::string& name, std::vector<double>& values,
               const std::vector<train::Range>& columns) override {
    CHECK(values.size() % columns.size() == 0);
    if (loading) values = saved.at(name);
    else saved[name] = values;
  }
  void tensor(const std::string& name, const Tensor& tensor) override {
    if (loading) tensor.copy_(tensors.at(name));
    else tensors[name] = tensor.clone();
  }
};

}  // namespace mixgrad::test
