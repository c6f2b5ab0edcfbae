// TransformCallback: random transforms of the images as a part of training. Validation and prediction never meet them.
//
//   learn.add(std::make_shared<train::TransformCallback>(
//       std::vector{data::random_crop({.padding = 2}), data::cutout({.size = 7})}));
//   learn.mixup();
#pragma once

#include <vector>

#include "data/transform.h"
#include "train/callback.h"

namespace mixgrad::train {

// Before each training batch, transforms the input by one after the other. Transform k draws for batch b of pass p from
// Random(learner.options.seed, Purpose::transform, p, b, k): none disturbs another.
//
// Hooks run in the order in which callbacks are added: add it before mixup, which is to mix transformed images. A batch
// that is mixed already is refused. (Partners from mixup's second loader are not transformed.)
class TransformCallback : public StepCallback {
 public:
  // Throws on a transform that is empty.
  explicit TransformCallback(std::vector<data::Transform> transforms);

  void on_batch_begin(Learner& learner) override;
  std::string description() const override;
  StepWork step_work() const override { return StepWork::varies; }

 private:
  std::vector<data::Transform> transforms_;
};

}  // namespace mixgrad::train
