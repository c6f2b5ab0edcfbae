#include "train/transform_callback.h"

#include <algorithm>

#include "train/learner.h"

namespace mixgrad::train {

TransformCallback::TransformCallback(std::vector<data::Transform> transforms) : transforms_(std::move(transforms)) {
  for (const data::Transform& transform : transforms_) check(bool{transform}, "transforms: one of them is empty");
}

std::string TransformCallback::description() const {
  std::string text = "transforms";
  for (const data::Transform& transform : transforms_)
    text += (text == "transforms" ? ": " : "; ") + transform.description();
  return text;
}

StepWork TransformCallback::step_work() const {
  const bool all_planned =
      std::all_of(transforms_.begin(), transforms_.end(), std::mem_fn(&data::Transform::is_planned));
  return all_planned ? StepWork::same : StepWork::varies;
}

void TransformCallback::on_batch_plan(Learner& learner, BatchPlan& plan) {
  const std::uint64_t seed = learner.options.seed;
  for (const data::Transform& transform : transforms_) {
    Random random(seed, Purpose::transform, plan.pass, static_cast<std::uint32_t>(plan.batch),
                  static_cast<std::uint32_t>(plan.transforms.size()));
    std::vector<float> table;
    if (transform.is_planned()) {
      check(plan.shape.rank() == 4, "transforms: images must be [N, H, W, C], got ", plan.shape);
      table = transform.draw({plan.indices, plan.shape[1], plan.shape[2], plan.pass, seed}, random);
    }
    plan.transforms.push_back({transform, std::move(table), random});
  }
}

}  // namespace mixgrad::train
