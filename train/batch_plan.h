// BatchPlan: what the host decides for a batch before any of it is computed, and how its input and target follow from
// it. A value of plain vectors: it can be printed, and the same plan gives the same batch on every device.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "augment/pair_mix.h"
#include "data/transform.h"
#include "train/optimizer.h"

namespace mixgrad::train {

struct PlannedTransform {
  data::Transform transform;
  std::vector<float> table;  // what it drew
  Random random;             // for a plain function of a batch, which draws when it runs
};

struct PlannedMix {
  std::shared_ptr<const augment::PairMix> mix;
  augment::MixPlan plan;
  std::vector<std::int32_t> partners = {};  // samples of the training data; empty: those of this batch, permuted
  bool stack_x = false, stack_y = true;     // keep both inputs, both targets, side by side
  bool keep_clean = false;                  // the clean batch in front of the mixed one (augment/reg_mixup.h)
  std::string layer = {};                   // in front of which pairs are made, inside the model; empty: at its input
};

struct BatchPlan {
  using Value = std::variant<std::vector<std::int32_t>, std::vector<float>>;

  std::uint32_t pass = 0;                         // over the training data, from 0, counted over all fits
  std::int64_t batch = 0;                         // of the epoch, from 0
  std::vector<std::int32_t> indices;              // of its samples in the training data
  Shape shape = {};                               // of the input [N, ...]
  std::vector<Rates> rates = {};                  // of the optimizer's step, for each group of parameters
  std::vector<PlannedTransform> transforms = {};  // one after the other, before samples are mixed
  std::optional<PlannedMix> mix = {};
  // What callbacks decide besides, under names of their own; Learner::planned gives them on the device, [size].
  std::map<std::string, Value> values = {};
};

// "pass 0, batch 2: lr 0.001, momentum 0.9, samples 5 0 3", then a line for each transform, the mix, and each value.
std::ostream& operator<<(std::ostream& out, const BatchPlan& plan);

using NamedValues = std::map<std::string, Tensor>;

// All of a plan's numbers by name, on a device: the indices, the tables, the mix's draw, and its values. Throws where
// they do not fit each other.
NamedValues numbers_of(const BatchPlan& plan, const data::Dataset& dataset, Device device = cpu);

// What a model and a loss are given.
using Prepared = std::pair<augment::Input, augment::Target>;

// Gathers the samples, transforms them, and mixes them: in one pass where images are in the memory of a device and
// only mixed. numbers: those of numbers_of, on this device. samples: those of a dataset that is
// not resident, on this device, if they have been read.
Prepared prepare(const data::Dataset& dataset, const BatchPlan& plan, const NamedValues& numbers, Device device,
                 const data::Batch* samples = nullptr);
// The same for a loop of one's own.
inline Prepared prepare(const data::Dataset& dataset, const BatchPlan& plan, Device device = cpu) {
  return prepare(dataset, plan, numbers_of(plan, dataset, device), device);
}

}  // namespace mixgrad::train
