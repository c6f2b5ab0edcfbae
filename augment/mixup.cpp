#include "augment/mixup.h"

#include "augment/pair_mix_kernels.h"
#include "core/autograd.h"
#include "core/pointwise.h"
#include "core/view.h"

namespace mixgrad::augment {

Tensor mix(const MixedInput& input) {
  const auto& [x, partner, lambda] = input;
  check(is_floating(x.dtype()), "mixup: ", name_of(x.dtype()), x.shape(),
        " can't be mixed; convert class indices with one_hot, or keep them in a MixedTarget");
  check(x.shape() == partner.shape() && x.dtype() == partner.dtype(), "mixup: samples ", name_of(x.dtype()), x.shape(),
        " and partners ", name_of(partner.dtype()), partner.shape(), " differ");
  check(x.rank() >= 1 && lambda.shape() == Shape{x.size(0)}, "mixup: lambda is ", lambda.shape(), ", input ",
        x.shape());
  check_same_device("mixup", x.device(), partner.device());
  check_same_device("mixup", x.device(), lambda.device());
  const Tensor weight = lambda.to(x.dtype());
  Tensor out = Tensor::empty(x.shape(), x.options());
  dispatch("mix", x.device(), [&, pairs = Pairs{.own = x, .other = partner, .x = out}](auto device) {
    kernels::mix(device, pairs, weight);
  });
  record(out, "mix", {x, partner, weight},
         [x = Saved(x), partner = Saved(partner), weight = Saved(weight)](const Tensor& grad, Gradients& to) {
           // lambda [N] as [N, 1, ..., 1], which broadcasts over all axes of x but the first.
           Shape column = x->shape();
           for (int axis = 1; axis < x->rank(); ++axis) column = column.with(axis, 1);
           const Tensor lambda = reshape(*weight, column);
           if (to.needs(0)) to.add(0, grad * lambda);
           if (to.needs(1)) to.add(1, grad * (1.0 - lambda));
           if (to.needs(2)) to.add(2, reshape(sum_to(grad * (*x - *partner), column), weight->shape()));
         });
  return out;
}

Tensor mix(const Tensor& x, const Tensor& partners, const MixPlan& plan) { return mix(stack_input(x, partners, plan)); }

Tensor mix(const Tensor& x, const MixPlan& plan) { return mix(x, x, plan); }

std::vector<Tensor> mix(std::span<const Tensor> inputs, const MixPlan& plan) {
  std::vector<Tensor> mixed;
  for (const Tensor& x : inputs) mixed.push_back(mix(x, plan));
  return mixed;
}

MixUp::MixUp(const MixOptions& options) : options_(options) {
  check_draws("mixup", options.alpha, options.probability);
}

std::string MixUp::description() const {
  return text_of("mixup: alpha ", options_.alpha, ", one lambda per ",
                 options_.lambda_per == LambdaPer::batch ? "batch" : "sample", ", dedupe ",
                 options_.dedupe ? "on" : "off", describe_draws(options_.probability, options_.pairing));
}

MixPlan MixUp::draw(const Shape& batch, Random& random) const { return draw_mix_plan(batch[0], options_, random); }

void MixUp::combine_into(const Pairs& pairs, const MixDraw& draw) const {
  const Tensor lambda = draw.lambda.to(pairs.x.dtype());
  dispatch("mix", pairs.x.device(), [&](auto device) { kernels::mix(device, pairs, lambda); });
}

}  // namespace mixgrad::augment

namespace mixgrad::kernels {

void mix(Cpu device, const augment::Pairs& pairs, const Tensor& lambda) {
  with_floating("mixup", pairs.x.dtype(),
                [&]<class T>(T) { combine_pairs<T>(device, pairs, MixUpRows<T>{lambda.data<T>()}); });
}

}  // namespace mixgrad::kernels
