// TransformCallback: random transforms of the images as a part of training. Validation and prediction never meet them.
//
//   learn.add(std::make_shared<train::TransformCallback>(
//       std::vector{data::random_crop({.padding = 2}), data::cutout({.size = 7})}));
//   learn.mixup();
#pragma once

#include <vector>

#include "data/transform.h"
#include "train/callback.h"
#include "train/resumable.h"

namespace mixgrad::train {

// Transforms the input of each training batch by one after the other, before samples are mixed. Transform k draws for
// batch b of pass p from Random(learner.options.seed, Purpose::transform, p, b, k): none disturbs another. (Partners
// from mixup's second loader are not transformed.)
class TransformCallback : public StepCallback, public Resumable {
 public:
  // Throws on a transform that is empty.
  explicit TransformCallback(std::vector<data::Transform> transforms);

  void on_batch_plan(Learner& learner, BatchPlan& plan) override;
  std::string description() const override;
  StepWork step_work() const override;  // varies, where one of them is a plain function

 private:
  std::vector<data::Transform> transforms_;
};

}  // namespace mixgrad::train
