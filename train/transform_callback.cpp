#include "train/transform_callback.h"

#include "core/check.h"
#include "train/learner.h"

namespace mixgrad::train {

TransformCallback::TransformCallback(std::vector<data::Transform> transforms) : transforms_(std::move(transforms)) {
  for (const data::Transform& transform : transforms_)
    check(static_cast<bool>(transform), "transforms: one of them is empty");
}

std::string TransformCallback::description() const { return text_of("transforms: ", transforms_.size()); }

void TransformCallback::on_batch_begin(Learner& learner) {
  const bool plain =
      std::holds_alternative<Tensor>(learner.input()) && std::holds_alternative<Tensor>(learner.target());
  check(plain, "transforms: the batch is mixed already; add the transforms before mixup");
  Tensor x = learner.x();
  for (std::uint32_t k = 0; k < transforms_.size(); ++k) {
    Random random(learner.options.seed, Purpose::transform, learner.pass, static_cast<std::uint32_t>(learner.batch), k);
    x = transforms_[k](x, random);
  }
  learner.input() = x;
}

}  // namespace mixgrad::train
